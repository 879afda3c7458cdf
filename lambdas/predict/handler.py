"""The Lambda: it answers API Gateway's calls and runs the state machine's smoke test."""

import os
from pathlib import Path
from typing import Any

from .api import Api, smoke_test
from .gateway import respond

_API = Api.of(Path(__file__).parent, os.environ)
"""One per process: its connections stay open between calls."""


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return API Gateway's proxy response, or the result of `smoke_test` when the event has `golden` rows."""
    if "golden" in event:
        return smoke_test(event["golden"], _API)
    return respond(event, _API)
