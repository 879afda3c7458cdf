"""A container's HTTP server: `GET /ping`, `GET /execution-parameters`, `POST /invocations` on 127.0.0.1, kept alive."""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A status, a body and its Content-Type."""

    status: int
    body: bytes = b""
    media: str | None = None


Invoke = Callable[[bytes, str | None, str | None], Reply]
"""Answers a body, its Content-Type, and the Accept of the caller."""
NOT_FOUND = Reply(404, b"Not Found", "text/plain")
BAD_REQUEST = Reply(400, b"Bad Request", "text/plain")
LONGEST = 1 << 16
"""Bytes of the request line or of a header."""
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Server(ThreadingTCPServer):
    """A thread per connection; the process does not wait for them when it ends."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, invoke: Invoke, parameters: Callable[[], Reply] | None) -> None:
        self.invoke, self.parameters = invoke, parameters
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(StreamRequestHandler):
    """One connection. http.server reads headers by the parser of e-mails, which takes longer than a prediction."""

    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Answer requests until the client or a request ends the connection."""
        while line := self.rfile.readline(LONGEST):
            try:
                method, path, version = line.split()
                headers = self._headers()
                length = int(headers.get("content-length", "0"))
                body = self.rfile.read(max(0, length))
                if len(body) != length:
                    raise ValueError(length)
            except ValueError:
                self._send(BAD_REQUEST)
                return
            reply = self._reply(method + b" " + path, headers, body)
            self._send(reply)
            if version == b"HTTP/1.0" or headers.get("connection", "").lower() == "close":
                return

    def _headers(self) -> dict[str, str]:
        """The headers by their names in lower case. Raises ValueError for a line that is none."""
        headers = dict[str, str]()
        while (line := self.rfile.readline(LONGEST).decode("latin-1")) not in ("\r\n", "\n"):
            name, colon, value = line.partition(":")
            if not colon or not line.endswith("\n"):
                raise ValueError(line)
            headers[name.lower()] = value.strip()
        return headers

    def _reply(self, request: bytes, headers: dict[str, str], body: bytes) -> Reply:
        match request:
            case b"POST /invocations":
                return self.server.invoke(body, headers.get("content-type"), headers.get("accept"))
            case b"GET /ping":
                return Reply(200)
            case b"GET /execution-parameters" if self.server.parameters:
                return self.server.parameters()
        return NOT_FOUND

    def _send(self, reply: Reply) -> None:
        media = f"Content-Type: {reply.media}\r\n" if reply.media else ""
        status = f"HTTP/1.1 {reply.status} {PHRASES.get(reply.status, '')}"
        self.wfile.write(f"{status}\r\n{media}Content-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body)


def serve(port: int, invoke: Invoke, parameters: Callable[[], Reply] | None) -> None:
    """Serve until SIGTERM; without `parameters` there are no /execution-parameters. Raises OSError for a bad port."""
    server = Server(port, invoke, parameters)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving on 127.0.0.1:{server.server_address[1]}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
