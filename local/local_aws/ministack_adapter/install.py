"""Adds our services to ministack and replaces functions of it, by its inner names.

ministack has no public way to add a service. `check` tests every name first: with another version the start fails with
the name, instead of a wrong answer later. Only this folder uses ministack's inner names.
"""

import importlib
import inspect
import tomllib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

from local_aws import credentials, stack_types
from local_aws.autoscaling import Autoscaling
from local_aws.gate import Gate
from local_aws.ministack_adapter import (
    AdapterError,
    answers,
    functions,
    gateway,
    iam,
    inner,
    s3,
    signatures,
    step_functions,
    wrap,
)
from local_aws.ministack_adapter.kept import Kept
from local_aws.sagemaker.api.service import Request, Response, SageMaker
from local_aws.sagemaker.hosting import monitor

WRITTEN_FOR = "1.5.33"
APP, ROUTER, RESPONSES = "ministack.app", "ministack.core.router", "ministack.core.responses"
STACKS, ALARMS = "ministack.services.cloudformation.provisioners", "ministack.services.cloudwatch"
LOGS, LAMBDA = "ministack.services.cloudwatch_logs", "ministack.services.lambda_svc"
RUNTIME = "ministack.core.lambda_runtime"
RAISED = "raised by the handler"
KEPT = 2_000  # events of a log stream and streams of a function, so that memory stays flat
_NAMES = tomllib.loads(Path(__file__).with_name("inner_names.toml").read_text(encoding="utf-8"))
INNER_NAMES = {(module, name): expected for module, names in _NAMES.items() for name, expected in names.items()}
HANDLER_ERROR: str = INNER_NAMES[RUNTIME, "_PYTHON_WORKER_SCRIPT"]


def check() -> None:
    """Raise AdapterError, naming each inner name that is missing or has another shape."""
    moved = []
    for (module, name), expected in INNER_NAMES.items():
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(expected, list):
            as_expected = callable(found) and list(inspect.signature(found).parameters) == expected
        else:
            kinds = [kind.__name__ for kind in type(found).__mro__]
            as_expected = found is not None and (expected in kinds or (isinstance(found, str) and expected in found))
        if not as_expected:
            moved.append(f"{module}.{name}")
    if moved:
        raise AdapterError(
            f"this version of ministack has no {', '.join(moved)}, or with another signature. "
            f"Install ministack=={WRITTEN_FOR}, or change local_aws/ministack_adapter."
        )


def install(service: SageMaker) -> tuple[Callable[[dict[str, Any], Any, Any], Awaitable[None]], Kept]:
    """Register the service with ministack; return the ASGI application and what can be kept. Raises AdapterError."""
    check()
    iam.install(service.host.access, inner(STACKS, "_RESOURCE_HANDLERS"))
    hosts = [r"api\.sagemaker\.", r"runtime\.sagemaker\."]
    _add("sagemaker", service, "SageMaker", host_patterns=hosts, path_patterns=[r"^/endpoints/"])
    autoscaling = Autoscaling(service)
    _add("application-autoscaling", autoscaling, "AnyScaleFrontendService")
    step_functions.install(service)
    inner(STACKS, "_RESOURCE_HANDLERS").update(
        stack_types.handlers(
            service,
            put_composite=partial(_alarm_call, "_put_composite_alarm"),
            delete_composite=lambda name: _alarm_call("_delete_alarms", {"AlarmNames": [name]}),
        )
    )
    gateway.install(inner(STACKS, "_RESOURCE_HANDLERS"))
    wrap(STACKS, {"_cw_metric_alarm_record": _alarm_record})
    wrap(ALARMS, {"_evaluate_alarm": _judge_alarm, "_evict_old_metrics": _evict_old_metrics})
    wrap(LOGS, {"_append_log_events": _append_log_events, "_filter_log_events": _filter_log_events})
    wrap(LAMBDA, {"_emit_lambda_logs": _emit_lambda_logs, "_execute_function_warm": _execute_function})
    runtime: Any = importlib.import_module(RUNTIME)
    runtime._PYTHON_WORKER_SCRIPT = _report_exceptions(runtime._PYTHON_WORKER_SCRIPT)
    functions.install()
    s3.install(service.host.file_transfer)
    answers.install(service.host.events)
    kept = Kept({"sagemaker": service, "application-autoscaling": autoscaling})
    return Gate(inner(APP, "app"), signatures.install(credentials.roots(service.host.home))), kept


def _add(name: str, service: SageMaker | Autoscaling, target: str, **patterns: list[str]) -> None:
    """A service of JSON, found by what its targets begin with; `name` is botocore's, the states' has no dash."""

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, _query: Any) -> Response:
        return await service.answer(Request(method, path, headers, body, inner(RESPONSES, "get_region")()))

    inner(APP, "SERVICE_REGISTRY")[name] = {"module": name}
    inner(APP, "SERVICE_HANDLERS")[name] = handle_request
    # POST /_ministack/reset ends everything that runs; our state is kept by Kept.
    inner(APP, "_loaded_modules")[name] = SimpleNamespace(reset=service.reset, get_state=lambda: None)
    inner(ROUTER, "SERVICE_PATTERNS")[name] = {"target_prefixes": [f"{target}."], **patterns}


def _alarm_record(original: Callable[..., dict[str, Any]], name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """A template's alarm; ministack knows none of a Metrics Insights query, of which one of an endpoint runs here."""
    metrics = properties.get("Metrics") or []
    query = monitor.QUERY.fullmatch(metrics[0].get("Expression", "")) if len(metrics) == 1 else None
    if query is None:
        return original(name, properties)
    one = {
        "MetricName": query["metric"],
        "Namespace": monitor.NAMESPACE,
        "Statistic": monitor.FUNCTIONS[query["function"]],
        "Dimensions": [{"Name": "EndpointName", "Value": query["endpoint"]}],
        "Period": metrics[0].get("Period", 60),
    }
    return {**original(name, {**properties, **one, "Metrics": None}), "Metrics": metrics}


def _judge_alarm(original: Callable[[Any], None], alarm: dict[str, Any]) -> None:
    """An alarm sees the points of its dimensions; ministack takes those of all."""
    if alarm.get("Namespace") == monitor.NAMESPACE:
        return
    metrics, dimensions = inner(ALARMS, "_metrics"), inner(ALARMS, "_dims_from_list")(alarm.get("Dimensions") or [])
    key = alarm.get("Namespace"), alarm.get("MetricName"), inner(ALARMS, "_dims_key")(dimensions)
    FunctionType(original.__code__, {**original.__globals__, "_metrics": {key: metrics.get(key) or []}})(alarm)


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
    frames = '[frame.replace(code_dir, "/var/task") for frame in traceback.format_tb(e.__traceback__)[1:]]'
    error = (
        '{"errorMessage": str(e), "errorType": type(e).__name__, "requestId": context.aws_request_id, '
        f'"stackTrace": {frames}}}'
    )
    script = script.replace('"result": result})', '"result": result}, default=bytes.decode)')  # as AWS's encoder
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
