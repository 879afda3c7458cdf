"""Step Functions: executions run on moto's interpreter instead of ministack's."""

import importlib
from collections.abc import Callable
from typing import Any

from local_aws.ministack_adapter import inner, wrap
from local_aws.sagemaker.api.service import SageMaker
from local_aws.step_functions import interpreter
from local_aws.step_functions.definitions import definition_problem
from local_aws.step_functions.executions import Executions, Store
from local_aws.step_functions.tasks import Tasks

STATES = "ministack.services.stepfunctions"
INNER_NAMES: dict[tuple[str, str], type | tuple[str, ...]] = {
    **{(STATES, name): object for name in ("_executions", "_state_machines")},
    **{(STATES, f"_{name}_execution"): ("data",) for name in ("start", "stop", "describe")},
    **{(STATES, f"_send_task_{name}"): ("data",) for name in ("success", "failure", "heartbeat")},
    (STATES, "_run_execution"): ("exec_arn",),
    (STATES, "_validate_definition_jsonata"): ("definition_str",),
    (STATES, "_emit_execution_status_event"): ("execution",),
    (STATES, "_register_sfn_jsonata_functions"): ("expr",),
}


def install(service: SageMaker) -> None:
    """Run executions by our engine. Raises AdapterError: moto is another version."""
    module: Any = importlib.import_module(STATES)
    executions = Executions(Store(module._executions, module._state_machines, _announce))
    tasks = Tasks(service, executions.when_ended)
    interpreter.install(
        {**interpreter.changes(service.host.wait_scale, module._register_sfn_jsonata_functions), **tasks.changes()}
    )
    wrappers: dict[str, Callable[..., Any]] = {
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
    wrap(STATES, wrappers)


def _announce(execution: dict[str, Any]) -> None:
    """Publish a change of status by what is wrapped by then."""
    inner(STATES, "_emit_execution_status_event")(execution)
