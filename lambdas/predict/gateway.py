"""API Gateway's proxy integration: each event gets a response, whatever happens, and one line in the log.

A line has the route, the status and the time, and nothing of the caller's headers or body.
"""

import base64
import json
import time
import traceback
from pathlib import Path
from typing import Any

from .api import Api, Request, Response
from .problem import REPORT, Problem

_FOLDER = str(Path(__file__).parent)


def respond(event: dict[str, Any], api: Api) -> dict[str, Any]:
    """Return the response to a call (API Gateway Developer Guide, "Input format") and log the call; raises nothing."""
    started = time.perf_counter()
    request_id = str((event.get("requestContext") or {}).get("requestId", ""))
    reason: dict[str, str] = {}
    try:
        response = api.answer(_request(event, request_id))
    except Exception as error:
        problem = error if isinstance(error, Problem) else Problem("internal", REPORT)
        reason = {"problem": problem.kind, **_cause(error)}
        headers = {**problem.headers, "Content-Type": "application/problem+json"}
        response = Response(json.dumps(problem.document(request_id)), problem.status, headers)
    latency = round((time.perf_counter() - started) * 1000, 1)
    route = {"request_id": request_id, "method": event.get("httpMethod"), "resource": event.get("resource")}
    line = {**route, "status": response.status, "latency_ms": latency, **response.facts, **reason}
    print(json.dumps(line), flush=True)
    scored = {"X-Inference-Id": request_id} if response.facts else {}
    headers = {**response.headers, **scored, **api.shared_headers()}
    return {"statusCode": response.status, "headers": headers, "body": response.body, "isBase64Encoded": False}


def _request(event: dict[str, Any], request_id: str) -> Request:
    # `path` includes the base path of a custom domain, `resource` does not. The catch-all's is `/{proxy+}`, whatever it
    # was called with: a prediction by it would need no API key and pass no validator.
    path = event.get("resource") or event["path"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    body = event.get("body") or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    query = event.get("queryStringParameters") or {}
    return Request(event["httpMethod"], path, headers, data, query, request_id)


def _cause(error: Exception) -> dict[str, str]:
    """Return the class or AWS's code of the error, and its place in this package; its message could quote a row."""
    if isinstance(error, Problem):
        cause = error.__cause__
        return {"error": getattr(cause, "code", type(cause).__name__)} if cause else {}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_FOLDER)]
    return {"error": type(error).__name__, "at": f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"}
