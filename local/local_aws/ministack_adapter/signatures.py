"""Signatures: ministack takes the account's root without one; here every caller is checked before the service is."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs, quote

from local_aws.gate import Answer, Checks, Scope
from local_aws.ministack_adapter import inner, wrap

APP, EVALUATOR, ROUTER = "ministack.app", "ministack.core.iam_evaluator", "ministack.core.router"
RESPONSES, STS, S3 = "ministack.core.responses", "ministack.services.sts", "ministack.services.s3"
GATEWAY, TOO_LONG = "ministack.services.apigateway_v1", "RequestTooLongException"
ROOT_ONLY = "SageMaker.LocalFaults"
_checked: ContextVar[str] = ContextVar("checked", default="")
"""The access key whose signature this request has."""


def install(roots: dict[str, str]) -> Checks:
    """Check signatures of the account's root too; `roots` are its secrets by access key."""

    def resolve(original: Callable[..., Any], key: str, account: Any = None, *more: Any, **named: Any) -> Any:
        if key not in roots:
            return original(key, account, *more, **named)
        token = more[0] if more else named.get("session_token", inner(EVALUATOR, "_SESSION_TOKEN_NOT_CHECKED"))
        number = inner(RESPONSES, "get_account_id")()
        owner = {"account_id": number, "principal_arn": f"arn:aws:iam::{number}:root", "principal_id": number}
        found = {"access_key_id": key, "secret_access_key": roots[key], "source_access_key_id": key, **owner}
        return inner(EVALUATOR, "_validate_session_token")(None, token) or inner(EVALUATOR, "ResolvedCredential")(
            **found, principal_type="Root"
        )

    for module in (EVALUATOR, STS, S3):
        wrap(module, {"resolve_credential": resolve})
    for module in (EVALUATOR, STS):
        wrap(module, {"is_root_access_key": lambda original, key: not key})  # none: API Gateway refuses it itself
    wrap(APP, {"pin_signed_request": _pin})
    inner(GATEWAY, "_AUTHENTICATION_GATEWAY_ERRORS")[TOO_LONG] = ("REQUEST_TOO_LARGE", TOO_LONG)
    return Checks(lambda host, path: _api(host, path) is not None, _refusal, _too_long)


def _api(host: str, path: str) -> tuple[str, str, str] | None:
    """The API, the stage and the path below it of a request to an API."""
    return inner(APP, "_parse_execute_api_url")(host, path)  # type: ignore[no-any-return]


def _too_long(host: str, path: str, headers: dict[str, str]) -> Answer:
    """The API's own answer to a body above the quota."""
    api, stage, _ = _api(host, path) or ("", "", "")
    error = inner(EVALUATOR, "AuthError")(TOO_LONG, "Request Too Long")
    answer = inner(GATEWAY, "authentication_error_response")(api, stage, error, headers, {})
    return answer or (413, {"Content-Type": "application/json"}, b'{"message":"Request Too Long"}')


def _pin(original: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Keep a request for the check of its signature, unless the gate has checked it."""
    original(*arguments, **named)
    if key := _checked.get():
        inner(EVALUATOR, "_signed_request").set(None)
        inner(EVALUATOR, "_verified_key").set(key)


def _refusal(scope: Scope, headers: dict[str, str], body: bytes) -> Answer | None:
    """The answer to a request whose signature is missing or wrong."""
    _checked.set("")
    method, path = scope["method"], scope["path"]
    query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
    service = inner(ROUTER, "detect_service")(method, path, headers, query)
    key = inner(ROUTER, "extract_access_key_id")(headers, query)
    local = path.startswith("/_") or headers.get("x-amz-target") == ROOT_ONLY
    if not local and not headers.get("authorization") and inner(EVALUATOR, "_s3_presigned_query")(query):
        return inner(S3, "_verify_presigned_sigv4")(method, path, headers, query)  # type: ignore[no-any-return]
    raw_path = (scope.get("raw_path") or quote(path).encode()).decode("latin-1")
    inner(EVALUATOR, "pin_signed_request")(method, raw_path, query, scope["headers"])
    inner(EVALUATOR, "pin_signed_body")(body)
    found = inner(EVALUATOR, "authenticate")(key, inner(RESPONSES, "get_account_id")())
    failure: Any = inner(EVALUATOR, "AuthError")
    if found is None:
        found = failure("MissingAuthenticationToken", "Request is missing Authentication Token")
    elif local and getattr(found, "principal_type", "Root") != "Root":
        found = failure("AccessDeniedException", "Only the account's root may do this.")
    if isinstance(found, failure):
        refused: Answer = inner(APP, "_credential_failure")(service, "", "", found, headers)
        return refused
    _checked.set(key)
    return None
