"""Problems as RFC 9457 has them: what went wrong and what to do, and never a value of the caller's rows."""

import json
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("problems.json").read_bytes())
"""Every problem by the last part of its type; the OpenAPI document is made from the same file."""


class Problem(Exception):
    """A call that is answered with a problem document.

    `detail` says what to do; `errors` lists rows and columns, both counted or named and never quoted.
    """

    def __init__(self, kind: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail
        self.members = members
        self.status: int = KINDS[kind]["status"]
        retry = KINDS[kind].get("retry_after")
        self.headers = {**(headers or {}), **({"Retry-After": str(retry)} if retry else {})}

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the members of RFC 9457, with the request's id to find it by in the log."""
        return {
            "type": f"urn:problem-type:{self.kind}",
            "title": KINDS[self.kind]["title"],
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }
