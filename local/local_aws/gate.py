"""Keeps web pages out: what a request must be before a service of the local AWS sees it.

A page in the user's browser can send requests to 127.0.0.1, by form, image or script, and by a name that its owner
points there. So the Host must be this machine, the Origin must be the address itself or an allowed one, and all but
public requests need a valid signature.
"""

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ORIGINS_SETTING = "LOCAL_AWS_ORIGINS"
LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|\[::1\]|([a-z0-9_.-]+\.)?localhost)(:\d+)?", re.IGNORECASE)
"""Browsers and resolvers take each name below `localhost` for this machine, so no one can point it elsewhere."""
HEALTH = ("/_ministack/health", "/_ministack/ready")
LONGEST = 10 << 20
"""Bytes of a body for API Gateway, its quota "Payload size"."""
TOKENS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
"""Paths with a secret token that the local AWS has given to whom may call them."""
CORS = b"access-control-"
Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Checks:
    """What the gate asks the services behind it.

    Whether a path is one of an API, the answer to a request whose signature is missing or wrong, and an API's answer to
    a body that is too long.
    """

    of_api: Callable[[str, str], bool]
    refusal: Callable[[Scope, dict[str, str], bytes], Answer | None]
    too_long: Callable[[str, str, dict[str, str]], Answer]


class Gate:
    """An ASGI application in front of another one."""

    def __init__(self, application: Application, checks: Checks) -> None:
        self._application, self._checks = application, checks
        self._origins = {origin for origin in os.environ.get(ORIGINS_SETTING, "").split(",") if origin}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        else:
            await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin, path = headers.get("host", ""), headers.get("origin", ""), scope["path"]
        of_api = self._checks.of_api(host, path)
        if not LOOPBACK.fullmatch(host):
            await _refuse(send, f"The host {host!r} is not this machine.")
            return
        if not self._own(headers) and not (of_api and await self._allowed_by_the_api(scope, origin)):
            await _refuse(send, f"Pages of {origin or 'other sites'} may not call this. {ORIGINS_SETTING} allows some.")
            return
        try:
            body = await _whole(receive, headers, LONGEST if of_api else None)
        except TooLongError:
            await _answer(send, *self._checks.too_long(host, path, headers))
            return
        if body is None:
            return
        checked = not of_api and not _public(scope["method"], path)
        if checked and (refusal := self._checks.refusal(scope, headers, body)):
            await _answer(send, *refusal)
            return
        receive = _again(body, receive)
        await self._application(scope, receive, send if of_api else self._without_cors(send, origin))

    def _own(self, headers: dict[str, str]) -> bool:
        """Whether a request comes from no page, from a page of ours or an allowed one, or opens a page."""
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "none")
        if origin:
            return origin in self._origins or urlsplit(origin).netloc == headers.get("host")
        opens = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return site in ("none", "same-origin") or opens

    async def _allowed_by_the_api(self, scope: Scope, origin: str) -> bool:
        """Whether an API's answer to a preflight allows an origin, which a browser does not ask for each request."""
        if scope["method"] == "OPTIONS":
            return True
        asked = (b"host", b"origin")
        headers = [pair for pair in scope["headers"] if pair[0].lower() in asked]
        headers.append((b"access-control-request-method", scope["method"].encode()))
        answered: list[tuple[bytes, bytes]] = []

        async def nothing() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message: dict[str, Any]) -> None:
            answered.extend(message.get("headers", []))

        await self._application({**scope, "method": "OPTIONS", "headers": headers}, nothing, keep)
        allowed = {value.decode("latin-1") for name, value in answered if name.lower() == CORS + b"allow-origin"}
        return bool(origin) and bool(allowed & {origin, "*"})

    def _without_cors(self, send: Any, origin: str) -> Any:
        """Ministack lets each page read its answers; here only an allowed one may."""

        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and origin not in self._origins:
                kept = [pair for pair in message["headers"] if not pair[0].lower().startswith(CORS)]
                message = {**message, "headers": kept}
            await send(message)

        return sent


def _public(method: str, path: str) -> bool:
    if method in ("GET", "HEAD"):
        return path in HEALTH
    return method == "OPTIONS" or (method == "PUT" and path.startswith(TOKENS))


class TooLongError(Exception):
    """A body is longer than its service takes."""


async def _whole(receive: Any, headers: dict[str, str], longest: int | None) -> bytes | None:
    """The whole body; nothing when the client has gone. Raises TooLongError as soon as it is known."""
    chunks: list[bytes] = []
    expected = headers.get("content-length", "")
    left = None if longest is None else longest - (int(expected) if expected.isdigit() else 0)
    while True:
        if left is not None and left < 0:
            raise TooLongError
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if left is not None and not expected:
            left -= len(chunks[-1])
        if not message.get("more_body"):
            return b"".join(chunks)


def _again(body: bytes, receive: Any) -> Any:
    """A `receive` that first gives the body that has been read."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Any:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse(send: Any, words: str) -> None:
    await _answer(send, 403, {"Content-Type": "text/plain; charset=utf-8"}, f"{words}\n".encode())


async def _answer(send: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
