"""Transfer of large files between a job's sandbox and S3 by links.

The request is made as any other, so S3 checks, versions and publishes as always; only the bytes are not sent. A token
names the file and is valid during the request, so that no other caller can name a file.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HEADER = "x-local-file"
LARGE = 8 << 20
"""Bytes from which a file is handed over instead of sent; smaller inputs are the job's own to write in."""


class FileTransfer:
    """The files that requests may name now: each to take, or where to put one."""

    def __init__(self) -> None:
        self._offers: dict[str, Path] = {}

    @contextmanager
    def offer(self, path: Path) -> Iterator[str]:
        """The token of a file, for the length of the block."""
        token = secrets.token_hex(16)
        self._offers[token] = path
        try:
            yield token
        finally:
            del self._offers[token]

    def find(self, token: str) -> Path | None:
        """The file of a token, if it is valid."""
        return self._offers.get(token)


def accept_tokens(client: Any) -> None:
    """Let a botocore client of S3 take a token as `LocalFile` of GetObject and PutObject."""
    for operation in ("GetObject", "PutObject"):
        client.meta.events.register(f"before-parameter-build.s3.{operation}", _take)
        client.meta.events.register(f"before-call.s3.{operation}", _send)


def _take(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["local_file"] = params.pop("LocalFile", None)


def _send(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if context["local_file"]:
        params["headers"][HEADER] = context["local_file"]
