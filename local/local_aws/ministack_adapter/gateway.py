"""API Gateway: an import reads all of a document, logs need the account's role, and a failure shows no path of ours."""

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from local_aws.ministack_adapter import inner, wrap
from local_aws.ministack_adapter.iam import trusts

APP, GATEWAY, HTTP_APIS = "ministack.app", "ministack.services.apigateway_v1", "ministack.services.apigateway"
NO_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"
UNTRUSTED = (
    "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add "
    "the required role policy."
)
"""Both in AWS's words."""
TIMEOUT_MS = 29_000
"""An integration's default and longest time (API Gateway quotas)."""
FAILED_FUNCTION = "FAILED_FUNCTION"
"""Our name of the answer to a function that failed: DEFAULT_5XX, or 502 if an API has no own one."""
Answer = tuple[int, dict[str, str], bytes]
log = logging.getLogger(__name__)


class _IntegrationFailed(Exception):
    """The function behind an API raised, ended, timed out or was throttled: the type and the words of the response."""


def install(stack_types: dict[str, dict[str, Any]]) -> None:
    """Wrap ministack's API Gateway; `stack_types` are CloudFormation's handlers by type."""
    inner(GATEWAY, "_OPENAPI_HTTP_METHODS").add("any")
    wrappers = (
        *(_import_rest_api, _import_path_item, _update_account, _update_stage),
        *(_invoke_lambda_proxy_v1, _lambda_proxy_response, _gateway_response_for_type, handle_execute),
    )
    wrap(GATEWAY, {wrapper.__name__: wrapper for wrapper in wrappers})
    wrap(APP, {"_handle_execute_api_request": _handle_execute_api_request})
    stage = stack_types["AWS::ApiGateway::Stage"]
    stage["create"] = partial(_stack_stage, stage["create"], 1)
    stage["update"] = partial(_stack_stage, stage["update"], 2)


def _import_rest_api(original: Callable[..., str], spec: dict[str, Any], base_data: Any = None) -> str:
    """API Gateway imports the gateway responses of an OpenAPI document, too; ministack leaves them out."""
    api_id = original(spec, base_data)
    for kind, response in spec.get("x-amazon-apigateway-gateway-responses", {}).items():
        status, _, body = inner(GATEWAY, "_put_gateway_response")(api_id, kind, response)
        if status >= 300:
            raise ValueError(body.decode())
    return api_id


def _import_path_item(original: Callable[..., None], api_id: str, path: str, item: dict[str, Any], *more: Any) -> None:
    """A path's `x-amazon-apigateway-any-method` is its method ANY."""
    methods = {name.removeprefix("x-amazon-apigateway-").removesuffix("-method"): item[name] for name in item}
    original(api_id, path, methods, *more)


def _update_account(original: Callable[..., Answer], data: dict[str, Any]) -> Answer:
    for change in data.get("patchOperations", []):
        if change["path"] == "/cloudwatchRoleArn" and not trusts(change.get("value", ""), "apigateway.amazonaws.com"):
            return inner(GATEWAY, "_v1_error")("BadRequestException", UNTRUSTED, 400)  # type: ignore[no-any-return]
    return original(data)


def _update_stage(original: Callable[..., Answer], api_id: str, stage: str, data: dict[str, Any]) -> Answer:
    for change in data.get("patchOperations", []):
        logs = change["path"].startswith("/accessLogSettings") or change["path"].endswith("/logging/loglevel")
        if logs and change.get("value", "OFF") != "OFF" and not _has_role():
            return inner(GATEWAY, "_v1_error")("BadRequestException", NO_ROLE, 400)  # type: ignore[no-any-return]
    return original(api_id, stage, data)


def _stack_stage(original: Callable[..., Any], place: int, *arguments: Any) -> Any:
    """A stage with logs; its properties are the argument at this place. ministack's handlers do not read its logs."""
    wanted = arguments[place]
    levels = {setting.get("LoggingLevel", "OFF") for setting in wanted.get("MethodSettings", [])}
    if ("AccessLogSetting" in wanted or levels - {"OFF"}) and not _has_role():
        raise ValueError(NO_ROLE)
    return original(*arguments)


def _has_role() -> bool:
    return bool(json.loads(inner(GATEWAY, "_get_account")()[2]).get("cloudwatchRoleArn"))


async def _invoke_lambda_proxy_v1(original: Any, integration: dict[str, Any], *more: Any, **named: Any) -> Any:
    """A function that fails, or takes longer than its integration may, is answered by a gateway response.

    ministack answers with the function's error, which has paths of this machine. AWS shows it in the logs only.
    """
    limit = float(integration.get("timeoutInMillis") or TIMEOUT_MS) / 1000
    try:
        return await asyncio.wait_for(original(integration, *more, **named), limit)
    except TimeoutError:
        return inner(GATEWAY, "_gw_error")("INTEGRATION_TIMEOUT", "Endpoint request timed out")
    except _IntegrationFailed as failure:
        return inner(GATEWAY, "_gw_error")(*failure.args)


def _lambda_proxy_response(original: Callable[..., Any], result: dict[str, Any]) -> Any:
    if result.get("throttle"):
        raise _IntegrationFailed("THROTTLED", "Rate exceeded")
    response, failure = original(result)
    if failure:
        raise _IntegrationFailed(FAILED_FUNCTION, "Internal server error")
    return response, failure


def _gateway_response_for_type(original: Callable[..., Any], customized: dict[str, Any], kind: str) -> Any:
    if kind != FAILED_FUNCTION:
        return original(customized, kind)
    return {**original(customized, "DEFAULT_5XX"), **({} if "DEFAULT_5XX" in customized else {"statusCode": "502"})}


async def handle_execute(original: Any, api: str, stage: str, *request: Any) -> Any:
    """Execute a request; ministack answers its own exceptions with their text."""
    try:
        return await original(api, stage, *request)
    except Exception:
        log.exception("API Gateway cannot execute a request to %s/%s", api, stage)
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The local AWS failed. Its log aws.log has the error.")


async def _handle_execute_api_request(original: Any, host: str, path: str, *request: Any, **more: Any) -> Any:
    """An API or a stage that does not exist: no gateway response applies, so the answer has a fixed form."""
    if found := inner(APP, "_parse_execute_api_url")(host, path):
        api, stage, _ = found
        if inner(GATEWAY, "find_api_scope")(api) is None:
            if inner(HTTP_APIS, "find_api_scope")(api) is None:
                return _problem(HTTPStatus.NOT_FOUND, f"There is no API {api}.")
        elif stage not in inner(GATEWAY, "stages_for_api")(api):
            return _problem(HTTPStatus.FORBIDDEN, f"The API {api} has no stage {stage}.", "ForbiddenException")
    return await original(host, path, *request, **more)


def _problem(status: HTTPStatus, detail: str, error: str = "") -> Answer:
    """A problem document (RFC 9457); AWS's answer has its member `message` alone."""
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    headers = {"Content-Type": "application/problem+json", **({"x-amzn-ErrorType": error} if error else {})}
    return status, headers, json.dumps({**document, "message": status.phrase}).encode()
