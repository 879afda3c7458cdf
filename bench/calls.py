"""Calls at a fixed rate over kept connections, each timed from when it was due."""

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bench.deployment import Deployment, one_row

CONNECTIONS = 8
"""Each may cost the local AWS a process of the function, as it costs AWS an instance."""
GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True)
class Call:
    """When a call was due (monotonic seconds), how long after that it was answered, and how; status 0 is no answer."""

    due: float
    milliseconds: float
    status: int
    retry_after: str


class Caller:
    """A pool of connections to a deployed API; posts one golden row a call."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._address = urlsplit(deployment.url)
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.LifoQueue()

    async def __aenter__(self) -> Self:
        for _ in range(CONNECTIONS):
            self._free.put_nowait(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._free.empty():
            if connection := self._free.get_nowait():
                connection[1].close()

    async def send(self, rate: float, seconds: float) -> list[Call]:
        """Every call of `seconds` at `rate` a second."""
        start = time.monotonic()
        calls = []
        for number in range(round(rate * seconds)):
            due = start + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            calls.append(asyncio.create_task(self._call(number, due)))
        return await asyncio.gather(*calls)

    async def _call(self, number: int, due: float) -> Call:
        connection = await self._free.get()
        if connection and connection[0].at_eof():  # the server closes a connection that nobody used for a while
            connection[1].close()
            connection = None
        status, retry_after, closes = 0, "", False
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                connection = connection or await asyncio.open_connection(self._address.hostname, self._address.port)
                status, retry_after, closes = await self._exchange(*connection, number)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            closes = True
        if closes and connection:
            connection[1].close()
            connection = None
        self._free.put_nowait(connection)
        return Call(due, 1e3 * (time.monotonic() - due), status, retry_after)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> tuple[int, str, bool]:
        body, path = one_row(self._deployment.settings, number).encode(), self._deployment.path
        headers = {
            **self._deployment.sign(path, body),
            "Host": self._address.netloc,
            "Content-Length": str(len(body)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {self._address.path}{path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        await reader.readexactly(int(told["content-length"]))
        return int(head[0].split()[1]), told.get("retry-after", ""), told.get("connection") == "close"
