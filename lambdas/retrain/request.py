"""A request for a run, from whatever asks."""

import json
from dataclasses import dataclass
from typing import Any

REASONS = ("upload", "schedule", "drift", "manual", "delivery")


class BadRequest(Exception):
    """The message is no request for a run."""


@dataclass(frozen=True)
class Request:
    """Why a run is asked for, whether known data is to run again, and the id of the message that asks."""

    reason: str
    force: bool
    id: str

    @staticmethod
    def read(body: str, message_id: str) -> "Request":
        """Return the request in a message's body. Raises BadRequest."""
        try:
            return Request.of(json.loads(body), message_id)
        except ValueError as error:
            raise BadRequest(f"not JSON: {error}") from error

    @staticmethod
    def of(document: Any, message_id: str) -> "Request":
        """Return the request in {"reason", "force"}; other keys are for the reader of the queue. Raises BadRequest."""
        if not isinstance(document, dict) or document.get("reason") not in REASONS:
            raise BadRequest(f'want {{"reason": one of {", ".join(REASONS)}, "force": true or false}}')
        return Request(document["reason"], document.get("force") is True, message_id)
