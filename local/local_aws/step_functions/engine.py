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
        "_run_execution": executions.run,
        "_emit_execution_status_event": executions.status_event,
        "_start_execution": executions.start,
        "_stop_execution": executions.stop,
        "_describe_execution": executions.describe,
        "_send_task_success": executions.send_success,
        "_send_task_failure": executions.send_failure,
        "_send_task_heartbeat": executions.send_heartbeat,
        "_validate_definition_jsonata": definition_problem,
    }
