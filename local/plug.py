"""The only file that knows ministack's inner names: plugs SageMaker in and closes gaps of its Step Functions.

ministack offers no public way to add a service, so this writes into its tables. `check` looks at every name first: an
upgrade that moves one fails at start with the name, not later with a wrong answer.
"""

import contextvars
import importlib
import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from local import stack_types
from local.sagemaker import monitor, states
from local.sagemaker.errors import MODELED_ERRORS
from local.sagemaker.service import Request, SageMaker

WRITTEN_FOR = "1.5.33"
APP, ROUTER, RESPONSES = "ministack.app", "ministack.core.router", "ministack.core.responses"
STATES = "ministack.services.stepfunctions"
STACKS, ALARMS = "ministack.services.cloudformation.provisioners", "ministack.services.cloudwatch"
INNER_NAMES: dict[tuple[str, str], type | tuple[str, ...]] = {
    (APP, "app"): ("scope", "receive", "send"),
    (APP, "SERVICE_REGISTRY"): dict,
    (APP, "SERVICE_HANDLERS"): dict,
    (APP, "_loaded_modules"): dict,
    (ROUTER, "SERVICE_PATTERNS"): dict,
    (RESPONSES, "get_region"): (),
    (STATES, "_AWS_SDK_SERVICE_MAP"): dict,
    (STATES, "_AWS_SDK_ERROR_PREFIX"): dict,
    (STATES, "_AWS_SDK_ERROR_CODE_OVERRIDES"): dict,
    (STATES, "_SERVICE_DISPATCH"): dict,
    (STATES, "_ExecutionError"): ("error", "cause"),
    (STATES, "_execute_task"): ("state_def", "raw_input", "execution", "ctx"),
    (STATES, "_invoke_resource_with_timeout"): ("resource", "input_data", "timeout"),
    (STATES, "_invoke_aws_sdk_integration"): ("resource", "input_data"),
    (STATES, "_stop_execution"): ("data",),
    (STATES, "_fail_execution"): ("execution", "error", "cause"),
    (STACKS, "_RESOURCE_HANDLERS"): dict,
    (ALARMS, "_put_composite_alarm"): ("params", "cbor_data", "is_cbor", "is_json"),
    (ALARMS, "_evaluate_alarm"): ("alarm",),
    (ALARMS, "_delete_alarms"): ("params", "cbor_data", "is_cbor", "is_json"),
}


class PlugError(Exception):
    """ministack is not the version that this file was written for."""


def check() -> None:
    """Raise PlugError, naming each inner name that is missing or has another shape."""
    moved = []
    for (module, name), expected in INNER_NAMES.items():
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(expected, type):
            as_expected = isinstance(found, expected)
        else:
            as_expected = callable(found) and tuple(inspect.signature(found).parameters) == expected
        if not as_expected:
            moved.append(f"{module}.{name}")
    if moved:
        raise PlugError(
            f"ministack has moved {', '.join(moved)}: local/plug.py was written for ministack {WRITTEN_FOR}. "
            "Pin that version in requirements.in, or follow the change in local/plug.py."
        )


class _Module:
    """What ministack expects of a service's module."""

    def __init__(self, service: SageMaker) -> None:
        self._service = service
        self._region: Callable[[], str] = _inner(RESPONSES, "get_region")

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request to api.sagemaker or runtime.sagemaker."""
        return await self._service.answer(Request(method, path, headers, body, self._region()))

    def reset(self) -> None:
        """POST /_ministack/reset: end everything that runs and forget it."""
        self._service.reset()

    def get_state(self) -> None:
        """Nothing to persist: running processes do not survive a restart."""


def install(service: SageMaker) -> Callable[[dict[str, Any], Any, Any], Awaitable[None]]:
    """Register the service with ministack and return the ASGI application. Raises PlugError."""
    check()
    module = _Module(service)
    _inner(APP, "SERVICE_REGISTRY")["sagemaker"] = {"module": "sagemaker"}
    _inner(APP, "SERVICE_HANDLERS")["sagemaker"] = module.handle_request
    _inner(APP, "_loaded_modules")["sagemaker"] = module
    _inner(ROUTER, "SERVICE_PATTERNS")["sagemaker"] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"api\.sagemaker\.", r"runtime\.sagemaker\."],
        "path_patterns": [r"^/endpoints/"],
    }
    _inner(STATES, "_AWS_SDK_SERVICE_MAP")["sagemaker"] = {"target_prefix": "SageMaker", "protocol": "json"}
    _inner(STATES, "_AWS_SDK_ERROR_PREFIX")["sagemaker"] = "SageMaker"
    # The SDK for Java names a modeled error's class after it and throws its base class for every other.
    _inner(STATES, "_AWS_SDK_ERROR_CODE_OVERRIDES")["sagemaker"] = _SdkErrorNames()
    _StepFunctions(service).install()
    _inner(STACKS, "_RESOURCE_HANDLERS").update(
        stack_types.handlers(
            service,
            put_composite=partial(_alarm_call, "_put_composite_alarm"),
            delete_composite=lambda name: _alarm_call("_delete_alarms", {"AlarmNames": [name]}),
        )
    )
    alarms: Any = importlib.import_module(ALARMS)
    alarms._evaluate_alarm = partial(_judge_alarm, alarms._evaluate_alarm)
    return _inner(APP, "app")  # type: ignore[no-any-return]


def _judge_alarm(original: Callable[[Any], None], alarm: dict[str, Any]) -> None:
    if alarm.get("Namespace") != monitor.NAMESPACE:
        original(alarm)


def _alarm_call(name: str, request: dict[str, Any]) -> None:
    status, _, body = _inner(ALARMS, name)({}, request, False, True)
    if status >= 300:
        raise ValueError(body.decode())


class _SdkErrorNames(dict[str, str]):
    def get(self, code: str, default: Any = None) -> str:
        return f"{code.removesuffix('Exception')}Exception" if code in MODELED_ERRORS else "SageMakerException"


class _StepFunctions:
    """Task resources of our own, and what ends their jobs: a stopped execution or a task's timeout."""

    def __init__(self, service: SageMaker) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._calls: dict[str, list[states.Call]] = {}
        self._execution: contextvars.ContextVar[str] = contextvars.ContextVar("execution", default="")
        self._attempt: contextvars.ContextVar[list[states.Call] | None] = contextvars.ContextVar(
            "attempt", default=None
        )

    def install(self) -> None:
        """Put our handlers into the dispatch table and wrap the functions that know of executions and timeouts."""
        dispatch = _inner(STATES, "_SERVICE_DISPATCH")
        dispatch["arn:aws:states:::sagemaker:"] = self._sagemaker
        dispatch["arn:aws:states:::aws-sdk:s3:getObject"] = self._get_object
        module = importlib.import_module(STATES)
        for wrapper in (
            self._execute_task,
            self._invoke_resource_with_timeout,
            self._stop_execution,
            self._fail_execution,
        ):
            name = wrapper.__name__
            setattr(module, name, partial(wrapper, getattr(module, name)))

    def _sagemaker(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution.get()
        call = states.Call(execution)
        with self._lock:
            self._calls.setdefault(execution, []).append(call)
        attempt = self._attempt.get()
        if attempt is not None:
            attempt.append(call)
        try:
            return states.run(self._service, resource, parameters, call)
        except states.TaskFailure as failure:
            raise _inner(STATES, "_ExecutionError")(failure.error, failure.cause) from failure
        finally:
            with self._lock:
                self._calls[execution].remove(call)
                if not self._calls[execution]:
                    del self._calls[execution]

    def _get_object(self, resource: str, parameters: dict[str, Any]) -> Any:
        if not resource.endswith(":getObject"):  # getObjectTagging and the like share the prefix
            return _inner(STATES, "_invoke_aws_sdk_integration")(resource, parameters)
        try:
            return states.get_object(self._service.host.s3, parameters)
        except states.TaskFailure as failure:
            raise _inner(STATES, "_ExecutionError")(failure.error, failure.cause) from failure

    def _execute_task(
        self, original: Callable[..., Any], state_def: Any, raw_input: Any, execution: Any, ctx: Any
    ) -> Any:
        # Branches of a Parallel state go on after StopExecution; no task of theirs may start.
        if execution and execution["status"] != "RUNNING":
            raise _inner(STATES, "_ExecutionError")("States.Runtime", "the execution has been stopped")
        token = self._execution.set(execution["executionArn"] if execution else "")
        try:
            return original(state_def, raw_input, execution, ctx)
        finally:
            self._execution.reset(token)

    def _invoke_resource_with_timeout(
        self, original: Callable[..., Any], resource: str, input_data: Any, timeout: float
    ) -> Any:
        calls: list[states.Call] = []
        token = self._attempt.set(calls)
        try:
            return original(resource, input_data, timeout)
        except _inner(STATES, "_ExecutionError") as error:
            if error.error == "States.Timeout":
                for call in calls:
                    call.cancel()
            raise
        finally:
            self._attempt.reset(token)

    def _stop_execution(self, original: Callable[..., Any], data: Any) -> Any:
        answer = original(data)
        with self._lock:
            calls = list(self._calls.get(data.get("executionArn", ""), ()))
        for call in calls:
            call.cancel()
        return answer

    def _fail_execution(self, original: Callable[..., Any], execution: Any, error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":  # a stopped execution stays ABORTED, whatever its tasks then raise
            original(execution, error, cause)


def _inner(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
