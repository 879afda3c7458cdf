"""The Lambda: API Gateway's calls and the state machine's smoke test."""

import os
from pathlib import Path
from typing import Any

from . import smoke
from .api import Api
from .gateway import respond

_API = Api.of(Path(__file__).parent, os.environ)
"""Made once a process: its connections stay open from one call to the next."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return API Gateway's proxy response, or the outcome of the smoke test that `golden` rows ask for.

    Raises:
        SmokeTestFailed: a golden row was not answered as it should be; the state machine's task fails by this name.
    """
    if "golden" in event and "httpMethod" not in event:
        return smoke.check(event["golden"], _API)
    return respond(event, _API)
