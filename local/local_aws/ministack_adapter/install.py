"""Adds our services to ministack and replaces functions of it, by its inner names.

ministack has no public way to add a service. `check` tests every name first: with another version the start fails with
the name, instead of a wrong answer later. Only this folder uses ministack's inner names.
"""

import importlib
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from local_aws import stack_types
from local_aws.autoscaling import Autoscaling
from local_aws.ministack_adapter import gateway, iam, inner, s3, wrap
from local_aws.sagemaker.api.errors import MODELED_ERRORS
from local_aws.sagemaker.api.service import Request, SageMaker
from local_aws.sagemaker.hosting import monitor
from local_aws.step_functions import SDK_CLASSES, Engine, Executions, definition_problem, error_matches

WRITTEN_FOR = "1.5.33"
APP, ROUTER, RESPONSES = "ministack.app", "ministack.core.router", "ministack.core.responses"
STATES = "ministack.services.stepfunctions"
STACKS, ALARMS = "ministack.services.cloudformation.provisioners", "ministack.services.cloudwatch"
LOGS, LAMBDA = "ministack.services.cloudwatch_logs", "ministack.services.lambda_svc"
RUNTIME = "ministack.core.lambda_runtime"
HANDLER_ERROR = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
RAISED = "raised by the handler"
KEPT = 2_000  # events of a log stream and streams of a function, so that memory stays flat
INNER_NAMES: dict[tuple[str, str], type | tuple[str, ...] | str] = {
    (APP, "app"): ("scope", "receive", "send"),
    **{(APP, name): dict for name in ("SERVICE_REGISTRY", "SERVICE_HANDLERS", "_loaded_modules")},
    **{(STATES, f"_AWS_SDK_{name}"): dict for name in ("SERVICE_MAP", "ERROR_PREFIX", "ERROR_CODE_OVERRIDES")},
    (STATES, "_SERVICE_DISPATCH"): dict,
    **{(STATES, name): object for name in ("_task_tokens", "_executions", "_state_machines")},
    **{(STATES, f"_{name}_execution"): ("data",) for name in ("start", "stop", "describe")},
    **{
        (STATES, f"_invoke_{name}"): ("resource", "input_data")
        for name in ("resource", "aws_sdk_integration", "nested_start_execution", "nested_start_execution_sync")
    },
    (ROUTER, "SERVICE_PATTERNS"): dict,
    (RESPONSES, "get_region"): (),
    (STATES, "_ExecutionError"): ("error", "cause"),
    (STATES, "_execute_task"): ("state_def", "raw_input", "execution", "ctx"),
    (STATES, "_invoke_resource_with_timeout"): ("resource", "input_data", "timeout"),
    (STATES, "_fail_execution"): ("execution", "error", "cause"),
    (STATES, "_run_execution"): ("exec_arn",),
    (STATES, "_add_event"): ("execution", "event_type", "details"),
    (STATES, "_error_matches"): ("error_equals", "error"),
    (STATES, "_validate_definition_jsonata"): ("definition_str",),
    (STATES, "_emit_execution_status_event"): ("execution",),
    (STATES, "_invoke_with_callback"): ("resource", "input_data", "token", "state_def"),
    (STATES, "_call_lambda"): ("func_ref", "event"),
    (RUNTIME, "_PYTHON_WORKER_SCRIPT"): HANDLER_ERROR,
    (STATES, "now_iso"): (),
    (STACKS, "_RESOURCE_HANDLERS"): dict,
    (ALARMS, "_put_composite_alarm"): ("params", "cbor_data", "is_cbor", "is_json"),
    (ALARMS, "_evaluate_alarm"): ("alarm",),
    (ALARMS, "_evict_old_metrics"): (),
    (ALARMS, "_metrics"): object,
    (LOGS, "_append_log_events"): ("stream", "events"),
    (LOGS, "_filter_log_events"): ("data",),
    (LOGS, "_resolve_log_group_name"): ("data",),
    (LOGS, "_log_records"): object,
    (LOGS, "_log_groups"): object,
    (LAMBDA, "_emit_lambda_logs"): ("func", "request_id", "log_text", "error", "duration_ms", "log_source"),
    (LAMBDA, "_execute_function_warm"): ("func", "event", "request_id"),
    (ALARMS, "_delete_alarms"): ("params", "cbor_data", "is_cbor", "is_json"),
    **gateway.INNER_NAMES,
    **iam.INNER_NAMES,
    **s3.INNER_NAMES,
}


class AdapterError(Exception):
    """ministack is not the version that this folder was written for."""


def check() -> None:
    """Raise AdapterError, naming each inner name that is missing or has another shape."""
    moved = []
    for (module, name), expected in INNER_NAMES.items():
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(expected, str):
            as_expected = isinstance(found, str) and expected in found
        elif isinstance(expected, type):
            as_expected = found is not None and isinstance(found, expected)
        else:
            as_expected = callable(found) and tuple(inspect.signature(found).parameters) == expected
        if not as_expected:
            moved.append(f"{module}.{name}")
    if moved:
        raise AdapterError(
            f"this version of ministack has no {', '.join(moved)}, or with another signature. "
            f"Install ministack=={WRITTEN_FOR}, or change local_aws/ministack_adapter."
        )


class _Module:
    """What ministack expects of a service's module."""

    def __init__(self, service: SageMaker | Autoscaling) -> None:
        self._service = service
        self._region: Callable[[], str] = inner(RESPONSES, "get_region")

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request to the service."""
        return await self._service.answer(Request(method, path, headers, body, self._region()))

    def reset(self) -> None:
        """POST /_ministack/reset: end everything that runs and forget it."""
        self._service.reset()

    def get_state(self) -> None:
        """Nothing to persist: running processes do not survive a restart."""


def install(service: SageMaker) -> Callable[[dict[str, Any], Any, Any], Awaitable[None]]:
    """Register the service with ministack and return the ASGI application. Raises AdapterError."""
    check()
    iam.install(service.host.access, inner(STACKS, "_RESOURCE_HANDLERS"))
    hosts = [r"api\.sagemaker\.", r"runtime\.sagemaker\."]
    _add("sagemaker", service, "SageMaker", host_patterns=hosts, path_patterns=[r"^/endpoints/"])
    _add("application-autoscaling", Autoscaling(service), "AnyScaleFrontendService")
    inner(STATES, "_AWS_SDK_ERROR_PREFIX").update(SDK_CLASSES)
    # The SDK for Java names a modeled error's class after it and throws its base class for every other.
    inner(STATES, "_AWS_SDK_ERROR_CODE_OVERRIDES")["sagemaker"] = _SdkErrorNames()
    inner(STATES, "_AWS_SDK_ERROR_CODE_OVERRIDES")["sfn"] = {"ExecutionDoesNotExist": "ExecutionDoesNotExistException"}
    _mend_step_functions(service)
    inner(STACKS, "_RESOURCE_HANDLERS").update(
        stack_types.handlers(
            service,
            put_composite=partial(_alarm_call, "_put_composite_alarm"),
            delete_composite=lambda name: _alarm_call("_delete_alarms", {"AlarmNames": [name]}),
        )
    )
    gateway.install(inner(STACKS, "_RESOURCE_HANDLERS"))
    wrap(ALARMS, {"_evaluate_alarm": _judge_alarm, "_evict_old_metrics": _evict_old_metrics})
    wrap(LOGS, {"_append_log_events": _append_log_events, "_filter_log_events": _filter_log_events})
    wrap(LAMBDA, {"_emit_lambda_logs": _emit_lambda_logs, "_execute_function_warm": _execute_function})
    runtime: Any = importlib.import_module(RUNTIME)
    runtime._PYTHON_WORKER_SCRIPT = _report_exceptions(runtime._PYTHON_WORKER_SCRIPT)
    s3.install(service.host.file_transfer)
    return inner(APP, "app")  # type: ignore[no-any-return]


def _add(name: str, service: SageMaker | Autoscaling, target: str, **patterns: list[str]) -> None:
    """A service of JSON, found by what its targets begin with; `name` is botocore's, the states' has no dash."""
    module = _Module(service)
    inner(APP, "SERVICE_REGISTRY")[name] = {"module": name}
    inner(APP, "SERVICE_HANDLERS")[name] = module.handle_request
    inner(APP, "_loaded_modules")[name] = module
    inner(ROUTER, "SERVICE_PATTERNS")[name] = {"target_prefixes": [f"{target}."], **patterns}
    called = {"target_prefix": target, "protocol": "json", "service_key": name}
    inner(STATES, "_AWS_SDK_SERVICE_MAP")[name.replace("-", "")] = called


def _judge_alarm(original: Callable[[Any], None], alarm: dict[str, Any]) -> None:
    if alarm.get("Namespace") != monitor.NAMESPACE:
        original(alarm)


def _evict_old_metrics(original: Any) -> None:
    """A metric keeps its newest points; ministack compares the age of each at every request, which slows it down."""
    for points in list(inner(ALARMS, "_metrics").values()):
        del points[: -monitor.KEPT]


def _append_log_events(original: Callable[..., None], stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
    original(stream, events)
    records = inner(LOGS, "_log_records")
    for event in stream["events"][:-KEPT]:
        records.pop(event.get("eventId"), None)
    del stream["events"][:-KEPT]


def _filter_log_events(original: Callable[..., Any], data: dict[str, Any]) -> Any:
    """FilterLogEvents by the beginning of streams' names, which ministack does not read."""
    if (prefix := data.get("logStreamNamePrefix")) is None:
        return original(data)
    streams = inner(LOGS, "_log_groups").get(inner(LOGS, "_resolve_log_group_name")(data), {}).get("streams", {})
    return original({**data, "logStreamNames": [name for name in streams if name.startswith(prefix)] or [""]})


def _emit_lambda_logs(original: Callable[..., None], func: dict[str, Any], *arguments: Any, **more: Any) -> None:
    """A function keeps its newest streams: ministack opens one per call, AWS one per instance."""
    original(func, *arguments, **more)
    config = func.get("config", func)
    group = config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
    streams = inner(LOGS, "_log_groups").get(group, {}).get("streams", {})
    for name in list(streams)[:-KEPT]:
        streams.pop(name, None)


def _report_exceptions(script: str) -> str:
    """Ministack's program of a Python function, changed: an exception of the handler is an answer.

    ministack names each one Runtime.HandlerError and ends the process. AWS names the class and keeps the process.
    """
    error = (
        '{"errorMessage": str(e), "errorType": type(e).__name__, "stackTrace": traceback.format_tb(e.__traceback__)}'
    )
    answer = f'{{"status": "ok", "result": {{"{RAISED}": {error}, "trace": traceback.format_exc()}}}}'
    return script.replace(HANDLER_ERROR, answer)


def _execute_function(original: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Invoke a function; an exception of its handler is an error with the exception's class as its type."""
    result = original(*arguments)
    body = result.get("body")
    if not isinstance(body, dict) or RAISED not in body:
        return result
    return {"body": body[RAISED], "error": True, "log": "\n".join(filter(None, [result["log"], body["trace"]]))}


def _alarm_call(name: str, request: dict[str, Any]) -> None:
    status, _, body = inner(ALARMS, name)({}, request, False, True)
    if status >= 300:
        raise ValueError(body.decode())


class _SdkErrorNames(dict[str, str]):
    def get(self, code: str, default: Any = None) -> str:
        return f"{code.removesuffix('Exception')}Exception" if code in MODELED_ERRORS else "SageMakerException"


def _mend_step_functions(service: SageMaker) -> None:
    module: Any = importlib.import_module(STATES)
    engine = Engine(
        failure=module._ExecutionError,
        find=lambda arn: module._executions[arn],
        time_out=_time_out,
        start=partial(_states_call, "_start_execution"),
        stop=partial(_states_call, "_stop_execution"),
        describe=module._describe_execution,
        tokens=module._task_tokens,
    )
    executions = Executions(service, engine)
    module._SERVICE_DISPATCH["arn:aws:states:::sagemaker:"] = executions.sagemaker
    wrappers: dict[str, Callable[..., Any]] = {
        "_invoke_resource": executions.allowed,
        "_invoke_with_callback": executions.callback,
        "_call_lambda": executions.call_lambda,
        "_invoke_nested_start_execution": executions.nested,
        "_invoke_nested_start_execution_sync": executions.nested,
        "_emit_execution_status_event": executions.status_event,
        "_invoke_aws_sdk_integration": executions.sdk_call,
        "_execute_task": executions.task,
        "_invoke_resource_with_timeout": executions.timed_task,
        "_stop_execution": executions.stop,
        "_fail_execution": executions.fail,
        "_run_execution": partial(executions.run, machines=module._state_machines),
        "_start_execution": executions.start,
        "_add_event": executions.event,
        "_error_matches": error_matches,
        "_validate_definition_jsonata": definition_problem,
    }
    wrap(STATES, wrappers)


def _states_call(name: str, request: dict[str, Any]) -> Any:
    """Call an operation by its name at the time of the call: it is wrapped by then."""
    return inner(STATES, name)(request)


def _time_out(execution: dict[str, Any]) -> None:
    module: Any = importlib.import_module(STATES)
    execution.update(status="TIMED_OUT", stopDate=module.now_iso())
    module._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    module._emit_execution_status_event(execution)
