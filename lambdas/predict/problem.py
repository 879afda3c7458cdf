"""Problem documents as RFC 9457 defines them: the error and what to do, never a value of the caller's rows."""

import json
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("problems.json").read_bytes())
"""Status, title and seconds to retry after, by the last part of a problem's type; the OpenAPI document has the same."""
REPORT = "Report the request_id to the owner of this API"
Fault = dict[str, int | str]
"""A fault of a row: `row` counts from 1; `column` is a feature's name; `detail` says what is wrong."""


class Problem(Exception):
    """An error that the API answers with; `detail` says what to do, `errors` lists faults and quotes no value.

    `members` are those of this kind of problem alone.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[Fault] | None = None,
        members: dict[str, str] | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind, self.detail, self.errors, self.members = kind, detail, errors, members or {}
        self.status = KINDS[kind]["status"]
        retry = KINDS[kind].get("retry_after")
        self.headers = {**(headers or {}), **({"Retry-After": str(retry)} if retry else {})}

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the members of RFC 9457, the request's id, by which the log names the call, and the faults."""
        members = {"type": f"urn:problem-type:{self.kind}", "title": KINDS[self.kind]["title"], "status": self.status}
        errors = {"errors": self.errors} if self.errors else {}
        return {**members, "detail": self.detail, "request_id": request_id, **errors, **self.members}
