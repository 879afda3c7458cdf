"""The server's connections: their descriptors are free when they are closed, and the accept loop fills no log."""

import asyncio
import logging
import resource
import time
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer

QUIET_SECONDS = 60.0
log = logging.getLogger(__name__)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Prepare this process and its loop before it serves."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop.set_exception_handler(_Reports())
    read = TCPServer._read_data

    async def read_then_release(self: TCPServer) -> None:
        await read(self)
        await self.idle_task.stop()  # hypercorn lets it keep the descriptor for the keep-alive time

    TCPServer._read_data = read_then_release  # type: ignore[method-assign]


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
