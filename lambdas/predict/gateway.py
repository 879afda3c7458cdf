"""API Gateway's side: proxy events in, proxy responses out, whatever happens, and one line of log for each call.

A line of the log says what was asked for and how it went; it holds nothing that a caller sent.
"""

import base64
import json
import time
import traceback
from pathlib import Path
from typing import Any

from .api import Api, Request, Response
from .problem import Problem

_FOLDER = str(Path(__file__).parent)


def request_of(event: dict[str, Any]) -> Request:
    """Return the call that an event of API Gateway's Lambda proxy integration (REST API) carries."""
    resource, parameters = event.get("resource") or "", event.get("pathParameters") or {}
    # `resource` has no base path of a custom domain in it, `path` has; the catch-all's is `/{proxy+}`.
    path = f"/{parameters['proxy']}" if "proxy" in parameters else resource or event["path"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    body = event.get("body") or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    return Request(event["httpMethod"], path, headers, data, _id(event))


def respond(event: dict[str, Any], api: Api) -> dict[str, Any]:
    """Return the proxy response to one call, whatever happens, and log it."""
    started = time.perf_counter()
    request_id = _id(event)
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
    scored = {"X-Inference-Id": request_id} if response.facts else {}
    headers = {**response.headers, **scored, **api.shared_headers()}
    return {"statusCode": response.status, "headers": headers, "body": response.body, "isBase64Encoded": False}


def _id(event: dict[str, Any]) -> str:
    return str((event.get("requestContext") or {}).get("requestId", ""))


def _problem(problem: Problem, request_id: str) -> Response:
    headers = {**problem.headers, "Content-Type": "application/problem+json"}
    return Response(json.dumps(problem.document(request_id)), problem.status, headers)


def _cause(problem: Problem) -> dict[str, str]:
    """Return AWS's error code or the error's class; the message could quote the caller's rows."""
    cause = problem.__cause__
    return {"error": getattr(cause, "code", type(cause).__name__)} if cause else {}


def _place(error: Exception) -> str:
    """Return where in this package an error arose, without its message, which could hold a value."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_FOLDER)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"


def _log(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)
