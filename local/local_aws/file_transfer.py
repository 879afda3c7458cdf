"""Files that change hands between a job's sandbox and S3 on one machine.

The request is made as any other, so that S3 checks, versions and tells what it always does; only its bytes stay where
they are. A token that is valid for the length of the request names the file, so no other caller can name one.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = "x-local-file"
LARGE = 8 << 20
"""Bytes from which a file is handed over instead of sent; smaller inputs are the job's own to write in."""


@dataclass(frozen=True)
class Offer:
    """A file to take, with its MD5 in hexadecimal, or where to put one."""

    path: Path
    md5: str = ""


class FileTransfer:
    """The offers that stand."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}

    @contextmanager
    def offer(self, path: Path, md5: str = "") -> Iterator[str]:
        """The token of a file, for the length of the block."""
        token = secrets.token_hex(16)
        self._offers[token] = Offer(path, md5)
        try:
            yield token
        finally:
            del self._offers[token]

    def find(self, token: str) -> Offer | None:
        """What a token offers, if it does."""
        return self._offers.get(token)


def teach(client: Any) -> None:
    """A botocore client of S3 then takes a token as `LocalFile` of GetObject and PutObject."""
    for operation in ("GetObject", "PutObject"):
        client.meta.events.register(f"before-parameter-build.s3.{operation}", _take)
        client.meta.events.register(f"before-call.s3.{operation}", _send)


def _take(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["local_file"] = params.pop("LocalFile", None)


def _send(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if context["local_file"]:
        params["headers"][HEADER] = context["local_file"]
