"""A container's HTTP server: `GET /ping`, `GET /execution-parameters`, `POST /invocations` on 127.0.0.1, kept alive."""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Server(ThreadingHTTPServer):
    """A thread per connection; the process does not wait for them when it ends."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, invoke: Invoke, parameters: Callable[[], Reply] | None) -> None:
        self.invoke, self.parameters = invoke, parameters
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def do_GET(self) -> None:
        """Health, and how batch transform may call."""
        if self.path == "/ping":
            self._answer(Reply(200))
        elif self.path == "/execution-parameters" and self.server.parameters:
            self._answer(self.server.parameters())
        else:
            self._answer(NOT_FOUND)

    def do_POST(self) -> None:
        """Predictions."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        found = self.path == "/invocations"
        media, accept = self.headers.get("Content-Type"), self.headers.get("Accept")
        self._answer(self.server.invoke(body, media, accept) if found else NOT_FOUND)

    def log_message(self, *_: Any) -> None:
        """Requests that succeed are not logged."""

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if reply.media:
            self.send_header("Content-Type", reply.media)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)


def serve(port: int, invoke: Invoke, parameters: Callable[[], Reply] | None) -> None:
    """Serve until SIGTERM; without `parameters` there are no /execution-parameters. Raises OSError for a bad port."""
    server = Server(port, invoke, parameters)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving on 127.0.0.1:{server.server_port}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
