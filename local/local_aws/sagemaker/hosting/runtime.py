"""InvokeEndpoint: from the HTTP request to an instance and back."""

import re
import time
from urllib.parse import unquote

from local_aws.sagemaker.api.errors import ModelError, UnknownOperationException, ValidationError
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting.endpoint import Endpoint
from local_aws.sagemaker.hosting.instance import OK

PATH = re.compile(r"^/endpoints/([^/]+)/invocations$")
PREFIX = "x-amzn-sagemaker-"
TO_CONTAINER = ("content-type", "accept", f"{PREFIX}custom-attributes", f"{PREFIX}inference-id")
# In small letters: ministack rewrites "Content-Type" as the API's own.
FROM_CONTAINER = {"content-type": "content-type", f"{PREFIX}custom-attributes": "X-Amzn-SageMaker-Custom-Attributes"}


def endpoint_name(method: str, path: str) -> str:
    """The endpoint that a request names. Raises UnknownOperationException for other paths of the runtime."""
    found = PATH.match(path)
    if method != "POST" or not found:
        raise UnknownOperationException(f"{method} {path}: of the SageMaker runtime only InvokeEndpoint runs locally.")
    return unquote(found[1])


def invoke(endpoint: Endpoint, host: Host, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """Ask an endpoint and return headers and body for the caller, once it answers.

    Raises ValidationError, ThrottlingException, ServiceUnavailable or ModelError, as the API does.
    """
    arrived = time.perf_counter()
    if f"{PREFIX}target-container-hostname" in headers:
        raise ValidationError("TargetContainerHostname is for models of Mode Direct, which do not run locally.")
    fleet = endpoint.enter()
    if fleet is None:
        raise ValidationError(f"Endpoint {endpoint.name} of account {host.account} not found.")
    sent = {name: headers[name] for name in TO_CONTAINER if name in headers}
    try:
        name, variant = fleet.choose(headers.get(f"{PREFIX}target-variant"))
        if len(body) > variant.max_body:
            raise ValidationError(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: "
                f"Member must have length less than or equal to {variant.max_body}"
            )
        with variant.admitted():
            asked, status, setup = time.perf_counter(), 500, 0.0
            try:
                answer = variant.invoke(body, sent)
                status, setup = answer.status, answer.setup_seconds
            finally:
                seconds = time.perf_counter() - asked - setup
                overhead = asked - arrived + setup
                host.monitor.record(endpoint.name, name, status, seconds, overhead, setup_seconds=setup)
        if status not in OK:
            text = answer.body.decode("utf-8", "replace")
            side = "client" if status < 500 else "server"
            raise ModelError(
                f'Received {side} error ({status}) from {answer.container} with message "{text}".',
                OriginalStatusCode=status,
                OriginalMessage=text,
            )
        if fleet.capture is not None:
            asked_with = body, headers.get("content-type", "")
            answered_with = answer.body, answer.headers.get("content-type", "")
            fleet.capture.take(name, headers.get(f"{PREFIX}inference-id", ""), asked_with, answered_with)
    except ModelError as error:
        region, account = host.region, host.account
        console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group="
        error.message += f" See {console}{fleet.log_group} in account {account} for more information."
        error.members["LogStreamArn"] = f"arn:aws:logs:{region}:{account}:log-group:{fleet.log_group}"
        raise
    finally:
        fleet.leave()
    passed = {FROM_CONTAINER[name]: answer.headers[name] for name in FROM_CONTAINER if name in answer.headers}
    return {**passed, "x-Amzn-Invoked-Production-Variant": name}, answer.body
