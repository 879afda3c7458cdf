"""The server's connections: as many as it may have descriptors, and their descriptors are free when they are closed.

When most descriptors are in use, the connection that has been idle for the longest is closed for the next one.
"""

import asyncio
import logging
import resource
import time
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

QUIET_SECONDS = 60.0
SHARE = 0.7
"""Of the descriptors, for connections; the others are for files and for Lambda's workers."""
LONGEST_HEAD = 1 << 16  # bytes of a request before its body; the parser sets no limit
log = logging.getLogger(__name__)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Prepare this process and its loop before it serves."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop.set_exception_handler(_Reports())


class Connection(HttpToolsProtocol):
    """A client's connection, and all that are idle."""

    idle: ClassVar[dict["Connection", None]] = {}
    """Those without a request, the longest first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close another one when descriptors run short."""
        super().connection_made(transport)
        if len(self.connections) > SHARE * resource.getrlimit(resource.RLIMIT_NOFILE)[0] and self.idle:
            longest = next(iter(self.idle))
            del self.idle[longest]
            longest.transport.close()
        self.idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.idle.pop(self, None)
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the first line."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(name + value)
        super().on_header(name, value)

    def on_response_complete(self) -> None:
        """End a request; the next one may have come already."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self.idle[self] = None

    def _count(self, part: bytes) -> None:
        self._head += len(part)
        if self._head > LONGEST_HEAD:
            raise ValueError(f"the head of a request has more than {LONGEST_HEAD} bytes")


class Name(bytes):
    """A header's name as it is written, which uvicorn would make small: an API's task returns names in AWS's case."""

    def lower(self) -> "Name":
        """The same; it equals the small one."""
        return self

    def __eq__(self, other: object) -> bool:
        return super().lower() == other

    __hash__ = bytes.__hash__


class _Reports:
    """Logs errors of the loop; those of accepting a connection, which come in hundreds, once a minute."""

    def __init__(self) -> None:
        self._told = -QUIET_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "accept" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif time.monotonic() > self._told + QUIET_SECONDS:
            self._told = time.monotonic()
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            log.error("cannot accept connections: %s (at most %d open files)", context.get("exception"), limit)
