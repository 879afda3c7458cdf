"""The console: one page on 127.0.0.1 that shows the pipeline as it runs, by server-sent events."""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ops import runs
from ops.account import FAILURES, Account
from ops.console import state
from ops.output import plain
from ops.predict import golden_row, predict
from ops.report.gather import gather
from ops.report.page import page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = {
    "/": (HERE / "page.html", "text/html; charset=utf-8"),
    "/console.css": (HERE / "console.css", "text/css"),
    "/console.js": (HERE / "console.js", "text/javascript"),
    "/graph.js": (HERE / "graph.js", "text/javascript"),
    "/dagre.js": (ROOT / "node_modules/@dagrejs/dagre/dist/dagre.min.js", "text/javascript"),
}
LARGEST = 100_000
"""Bytes of a posted row."""


class Console(ThreadingHTTPServer):
    """Serves one account; a browser elsewhere cannot reach it, and a page from elsewhere cannot use it."""

    daemon_threads = True

    def __init__(self, account: Account, port: int) -> None:
        super().__init__(("127.0.0.1", port), partial(_Handler, account=account))

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        self.account = account
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # the name that http.server calls
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        routes: dict[str, Callable[[Mapping[str, str]], None]] = {
            "/events": self._events,
            "/definition": lambda _: self._json(state.definition(self.account)),
            "/golden": lambda _: self._json(golden_row(self.account)),
            "/logs": lambda asked: self._json(state.logs(self.account, asked.get("run", ""), asked.get("state", ""))),
            "/report": self._report,
        }
        if parts.path in FILES:
            file, kind = FILES[parts.path]
            self._answer(file.read_bytes(), kind)
        elif parts.path in routes:
            self._tried(lambda: routes[parts.path](query))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A row for the API. Only this page can send JSON here: a foreign one would have to ask first."""
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/predict" or self.headers.get("Content-Type") != "application/json" or length > LARGEST:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        row = json.loads(self.rfile.read(length))["row"]
        self._tried(lambda: self._json({"label": predict(self.account, row)}))

    def parse_request(self) -> bool:
        """A name that somebody else's DNS lets point here is not ours."""
        parsed = super().parse_request()
        if parsed and self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return False
        return parsed

    def _events(self, query: Mapping[str, str]) -> None:
        """A snapshot whenever something has changed, until the browser goes."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        pause, last = (0.3 if self.account.local else 5.0), ""
        try:
            while True:
                try:
                    text = json.dumps(state.snapshot(self.account, query.get("run", "")), default=plain)
                except FAILURES as error:
                    text = json.dumps({"error": str(error)})
                # A comment keeps the line open, and finds out when nobody listens any more.
                self.wfile.write(b": \n\n" if text == last else f"data: {text}\n\n".encode())
                self.wfile.flush()
                last = text
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _report(self, query: Mapping[str, str]) -> None:
        run = runs.find(self.account, query.get("run", ""))
        self._answer(page(gather(self.account, run)).encode(), "text/html; charset=utf-8")

    def _tried(self, do: Callable[[], None]) -> None:
        try:
            do()
        except FAILURES as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_GATEWAY)

    def _json(self, document: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(document, default=plain).encode(), "application/json", status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a line for each snapshot would bury what matters."""
