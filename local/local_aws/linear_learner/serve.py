"""The model server: `GET /ping`, `GET /execution-parameters`, `POST /invocations` on 127.0.0.1, HTTP/1.1 kept alive."""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local_aws.linear_learner import artifact, formats
from local_aws.linear_learner.common import ContainerError
from local_aws.linear_learner.predict import predict

EXECUTION_PARAMETERS = {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
REFUSAL = b"unable to evaluate payload provided"


class Server(ThreadingHTTPServer):
    """A thread per connection; the process does not wait for them when it ends."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, model: artifact.Model, port: int) -> None:
        self.model = model
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
            self._answer(200, b"")
        elif self.path == "/execution-parameters":
            self._answer(200, json.dumps(EXECUTION_PARAMETERS).encode(), formats.JSON)
        else:
            self._answer(404, b"Not Found", "text/plain")

    def do_POST(self) -> None:
        """Predictions."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != "/invocations":
            self._answer(404, b"Not Found", "text/plain")
            return
        content_type = self.headers.get("Content-Type") or formats.JSON
        try:
            rows = formats.decode(body, content_type, len(self.server.model.weights))
            answer, media = formats.encode(predict(self.server.model, rows), self.headers.get("Accept") or formats.JSON)
        except formats.UnsupportedContentType as error:
            self._answer(415, str(error).encode(), "text/plain")
        except ValueError as error:
            # The container answers no more than this; where the fault is goes to the log.
            row, fault = error.args
            print(f"400 {REFUSAL.decode()}: row {row}: {fault}", file=sys.stderr, flush=True)
            self._answer(400, REFUSAL, "text/plain")
        else:
            self._answer(200, answer, media)

    def log_message(self, *_: Any) -> None:
        """Requests that succeed are not logged."""

    def _answer(self, status: int, body: bytes, media: str | None = None) -> None:
        self.send_response(status)
        if media:
            self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(root: Path, port: int) -> int:
    """Serve the model in `root/model` until SIGTERM; returns the exit code."""
    try:
        server = Server(artifact.read(root / "model"), port)
    except (ContainerError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving on 127.0.0.1:{server.server_port}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0
