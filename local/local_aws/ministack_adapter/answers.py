"""Answers of ministack's services that differ from those of AWS, as recorded from AWS."""

import json
import re
from collections.abc import Callable
from typing import Any

from local_aws.ministack_adapter import inner, wrap
from local_aws.sagemaker.host import Events

EVENTS, LAMBDA, SNS = "ministack.services.eventbridge", "ministack.services.lambda_svc", "ministack.services.sns"
RESPONSES, STATES = "ministack.core.responses", "ministack.services.stepfunctions"
METRICS = "ministack.services.cloudwatch"
DIMENSION = re.compile(r"MetricData\.member\.\d+\.Dimensions\.member\.\d+\.Value")
Answer = tuple[int, dict[str, str], bytes]


def install(events: Events) -> None:
    """Put the wrappers in, and publish the events that SageMaker sends."""
    wrap(EVENTS, {"_put_events": _put_events})
    # PutEvents refuses sources of AWS; a service's own events do not come by it.
    events.put = lambda entry: inner(EVENTS, "_put_events")({"Entries": [entry]}, allow_aws_source=True)
    wrap(LAMBDA, {"_invoke": _invoke})
    wrap(SNS, {"_error": _sns_error})
    wrap(METRICS, {"_put_metric_data": _put_metric_data})
    wrap(STATES, {"handle_request": _redrive})


def _put_events(original: Callable[..., Answer], data: dict[str, Any], **more: Any) -> Answer:
    """PutEvents refuses an entry without what an event needs, and publishes the others."""
    refused = [_refusal(entry) for entry in data.get("Entries", [])]
    accepted = [entry for entry, fault in zip(data.get("Entries", []), refused, strict=True) if not fault]
    status, headers, body = original({**data, "Entries": accepted}, **more)
    answer = json.loads(body)
    published = iter(answer.get("Entries", []))
    if status == 200 and any(refused):
        answer["Entries"] = [fault or next(published) for fault in refused]
        answer["FailedEntryCount"] += len(refused) - len(accepted)
        body = json.dumps(answer).encode()
    return status, headers, body


def _refusal(entry: dict[str, Any]) -> dict[str, str]:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            words = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": words}
    try:
        malformed = not isinstance(json.loads(entry["Detail"]), dict)
    except ValueError:
        malformed = True
    return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."} if malformed else {}


async def _invoke(original: Any, name: str, *more: Any, **named: Any) -> Any:
    """Invoke names the version of a function that does not exist."""
    if name not in inner(LAMBDA, "_functions"):
        return inner(LAMBDA, "_function_qualifier_not_found")(name, "$LATEST")
    return await original(name, *more, **named)


def _sns_error(original: Callable[..., Answer], code: str, *more: Any) -> Answer:
    """SNS has another code than the name of its exception."""
    return original("InvalidParameter" if code == "InvalidParameterException" else code, *more)


def _put_metric_data(
    original: Callable[..., Answer], form: dict[str, Any], data: dict[str, Any], is_cbor: bool, is_json: bool
) -> Answer:
    """PutMetricData, whose request is a form or `data`, refuses a dimension's value that is not ASCII."""
    values = {name: "".join(form[name]) for name in form if DIMENSION.fullmatch(name)}
    for number, metric in enumerate(data.get("MetricData", []), 1):
        for place, dimension in enumerate(metric.get("Dimensions", []), 1):
            values[f"MetricData.member.{number}.Dimensions.member.{place}.Value"] = dimension["Value"]
    if refused := [name for name, value in values.items() if not value.isascii()]:
        words = "\n".join(f"The value for parameter {name} contains non-ASCII characters." for name in refused)
        answer: Answer = inner(METRICS, "_error")("InvalidParameterValue", words, 400, is_json, is_cbor)
        return answer
    return original(form, data, is_cbor, is_json)


async def _redrive(original: Any, method: str, path: str, headers: dict[str, str], *more: Any) -> Any:
    """RedriveExecution, which neither ministack nor moto has, is refused as where an execution is not redrivable."""
    if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
        words = "RedriveExecution does not run locally. Start a new execution."
        return inner(RESPONSES, "error_response_json")("ExecutionNotRedrivable", words, 400)
    return await original(method, path, headers, *more)
