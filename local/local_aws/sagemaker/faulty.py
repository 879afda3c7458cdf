"""The program that runs in place of a container's when a fault is requested: `faulty.py <fault> <port>`.

Runs on its own (`python -I`), so it imports nothing of ours.
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    """A model server that passes its ping and answers 500 to every request, or ends at the first."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply(200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if sys.argv[1] == "DiesAtRequest":
            os.kill(os.getpid(), signal.SIGKILL)
        self._reply(500, b"Internal Server Error (injected)")

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


if __name__ == "__main__":
    fault = sys.argv[1]
    print(f"{fault}, injected", flush=True)
    if fault == "Exit":
        sys.exit(1)
    if fault == "Kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault in ("Hang", "NeverReady"):
        signal.pause()
    if fault in ("Answers500", "DiesAtRequest"):
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()
