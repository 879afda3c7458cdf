"""The server's connections: as many as it may have descriptors, and their descriptors are free when they are closed.

When most descriptors are in use, the connection that has been idle for the longest is closed for the next one.
"""

import asyncio
import logging
import resource
import time
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, Updated

QUIET_SECONDS = 60.0
SHARE = 0.7
"""Of the descriptors, for connections; the others are for files and for Lambda's workers."""
log = logging.getLogger(__name__)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Prepare this process and its loop before it serves."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop.set_exception_handler(_Reports())
    read, send, idle = TCPServer._read_data, TCPServer.protocol_send, dict[TCPServer, None]()
    open_ones: set[TCPServer] = set()

    async def read_then_release(self: TCPServer) -> None:
        open_ones.add(self)
        idle[self] = None
        if len(open_ones) > SHARE * resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            longest = next(iter(idle))
            if longest is not self:
                del idle[longest]
                await longest._initiate_server_close()
        try:
            await read(self)
        finally:
            open_ones.discard(self)
            idle.pop(self, None)
            await self.idle_task.stop()  # hypercorn lets it keep the descriptor for the keep-alive time

    async def send_and_note(self: TCPServer, event: Event) -> None:
        if isinstance(event, Updated):
            idle.pop(self, None)
            if event.idle:
                idle[self] = None  # the last of them
        await send(self, event)

    TCPServer._read_data = read_then_release  # type: ignore[method-assign]
    TCPServer.protocol_send = send_and_note  # type: ignore[method-assign]


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
