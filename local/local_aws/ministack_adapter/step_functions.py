"""Step Functions: executions run on moto's interpreter instead of ministack's."""

import importlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from local_aws.ministack_adapter import wrap
from local_aws.sagemaker.api.service import SageMaker

STATES = "ministack.services.stepfunctions"
WRAPPED = {
    **{f"_{name}_execution": name for name in ("run", "start", "stop", "describe")},
    **{f"_send_task_{name}": f"send_{name}" for name in ("success", "failure", "heartbeat")},
    **{"_validate_definition_jsonata": "check_definition", "_emit_execution_status_event": "status_event"},
    **{"_get_activity_task": "give_task", "_test_state": "test_state"},
}
"""ministack's functions, and the methods of Engine that wrap them."""


def install(service: SageMaker) -> None:
    """Run executions by our engine, which takes seconds to import: the rest of the start does not wait for it."""
    loading = ThreadPoolExecutor(1, "step-functions").submit(_load, service)
    loading.add_done_callback(_require)
    wrap(STATES, {name: partial(_call, loading, method) for name, method in WRAPPED.items()})


def _load(service: SageMaker) -> Any:
    module: Any = importlib.import_module(STATES)
    engine: Any = importlib.import_module("local_aws.step_functions.engine")

    def announce(execution: dict[str, Any]) -> None:
        module._emit_execution_status_event(execution)  # what is wrapped by then

    known = module._executions, module._state_machines, module._activity_tasks
    return engine.Engine(service, module._register_sfn_jsonata_functions, *known, announce)


def _require(loaded: "Future[Any]") -> None:
    """End the local AWS when this version of moto has other names."""
    if loaded.exception():
        logging.getLogger(__name__).critical("Step Functions does not start: %s", loaded.exception())
        os._exit(1)


def _call(loading: "Future[Any]", method: str, original: Callable[..., Any], *arguments: Any) -> Any:
    return getattr(loading.result(), method)(original, *arguments)
