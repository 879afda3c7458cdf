"""The Lambda: it answers API Gateway's calls and runs the state machine's smoke test."""

import os
from pathlib import Path
from typing import Any, cast

from .api import Api
from .gateway import respond
from .smoke_test import SmokeTest, smoke_test

_API = Api.of(Path(__file__).parent, os.environ)
"""One per process: its connections stay open between calls."""


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return API Gateway's proxy response, or the result of `smoke_test` when the event has its rows."""
    if SmokeTest.__annotations__.keys() & event.keys():
        return smoke_test(cast(SmokeTest, event), _API)
    return respond(event, _API)
