"""The Lambda: API Gateway's calls and the state machine's smoke test in, answers out, one line of log each.

A line of the log says what was asked and how it went, and holds nothing that a caller sent.
"""

import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

from . import contract, smoke
from .api import Api, Response, request_of
from .endpoint import Endpoint, client
from .problem import Problem

_FOLDER = Path(__file__).parent
_API = Api(contract.load(_FOLDER), Endpoint(os.environ["ENDPOINT_NAME"], client()), _FOLDER)
"""Made once a process: the client's connection stays open from one call to the next."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return API Gateway's proxy response, or the outcome of the smoke test that `golden` rows ask for.

    Raises:
        SmokeTestFailed: a golden row was not answered as it should be; the state machine's task fails by this name.
    """
    if "golden" in event and "httpMethod" not in event:
        return smoke.check(event["golden"], _API)
    return respond(event, _API)


def respond(event: dict[str, Any], api: Api) -> dict[str, Any]:
    """Return the proxy response to one call, whatever happens, and log it."""
    started = time.perf_counter()
    request_id = (event.get("requestContext") or {}).get("requestId", "")
    reason: dict[str, Any] = {}
    try:
        response = api.answer(request_of(event))
    except Problem as problem:
        reason = {"problem": problem.kind, **_cause(problem)}
        response = _problem(problem, request_id)
    except Exception as error:
        reason = {"problem": "internal", "error": type(error).__name__, "at": _place(error)}
        response = _problem(Problem("internal", "Report the request's id to whoever runs this API"), request_id)
    latency = round((time.perf_counter() - started) * 1000, 1)
    route = {"method": event.get("httpMethod"), "resource": event.get("resource")}
    _log(request_id=request_id, **route, status=response.status, latency_ms=latency, **response.facts, **reason)
    headers = {**response.headers, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return {"statusCode": response.status, "headers": headers, "body": response.body, "isBase64Encoded": False}


def _problem(problem: Problem, request_id: str) -> Response:
    headers = {**problem.headers, "Content-Type": "application/problem+json"}
    return Response(json.dumps(problem.document(request_id)), problem.status, headers)


def _cause(problem: Problem) -> dict[str, str]:
    """Return AWS's error code where it was AWS that refused; its message could quote the caller's rows."""
    response = getattr(problem.__cause__, "response", None)
    code = response["Error"]["Code"] if response else problem.__cause__ and type(problem.__cause__).__name__
    return {"error": code} if code else {}


def _place(error: Exception) -> str:
    """Return where an error arose, without its message, which could hold a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _log(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)
