"""Puts the engine together: what replaces ministack's functions, by their names."""

from collections.abc import Callable
from typing import Any

from local_aws.sagemaker.api.service import SageMaker
from local_aws.step_functions import interpreter
from local_aws.step_functions.definitions import definition_problem
from local_aws.step_functions.executions import Executions
from local_aws.step_functions.tasks import Tasks

__all__ = ["Executions", "wrappers"]


def wrappers(
    service: SageMaker, executions: Executions, add_functions: Callable[[Any], None]
) -> dict[str, Callable[..., Any]]:
    """Functions that get ministack's own as their first argument. Raises AdapterError: moto is another version."""
    tasks = Tasks(service, executions.when_ended)
    interpreter.install({**interpreter.changes(service.host.wait_scale, add_functions), **tasks.changes()})
    return {
        **{f"_{name}_execution": getattr(executions, name) for name in ("run", "start", "stop", "describe")},
        **{f"_send_task_{name}": getattr(executions, f"send_{name}") for name in ("success", "failure", "heartbeat")},
        "_emit_execution_status_event": executions.status_event,
        "_validate_definition_jsonata": definition_problem,
    }
