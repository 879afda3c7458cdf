"""API Gateway: an import reads all of an OpenAPI document, and logs need the account's role."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from local_aws.ministack_adapter import inner, wrap
from local_aws.ministack_adapter.iam import trusts

GATEWAY = "ministack.services.apigateway_v1"
NO_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"
UNTRUSTED = (
    "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add "
    "the required role policy."
)
"""Both in AWS's words."""
Answer = tuple[int, dict[str, str], bytes]


def install(stack_types: dict[str, dict[str, Any]]) -> None:
    """Wrap ministack's API Gateway; `stack_types` are CloudFormation's handlers by type."""
    inner(GATEWAY, "_OPENAPI_HTTP_METHODS").add("any")
    wrappers = (_import_rest_api, _import_path_item, _update_account, _update_stage)
    wrap(GATEWAY, {wrapper.__name__: wrapper for wrapper in wrappers})
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
