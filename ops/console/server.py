"""The console: one page on 127.0.0.1 that shows the pipeline as it runs, by server-sent events."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from ops.account import FAILURES, Account
from ops.console.snapshot import definitions, logs, snapshots
from ops.output import CONFIG, Config, plain
from ops.predict import golden_row, label_of
from ops.report.contents import contents
from ops.report.page import page
from ops.runs import find

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = {
    "/": (HERE / "page.html", "text/html; charset=utf-8"),
    "/console.css": (HERE / "console.css", "text/css"),
    "/console.js": (HERE / "console.js", "text/javascript"),
    "/graph.js": (HERE / "graph.js", "text/javascript"),
}
LARGEST = 100_000
"""The size of a posted row at most, in bytes."""


def console(
    port: Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.")] = 4580,
    config: Config = CONFIG,
) -> None:
    """Serve a page that shows the pipeline as it runs, until Ctrl-C."""
    with Console(Account.of(config), port) as served, suppress(KeyboardInterrupt):
        print(f"console: {served.url}", flush=True)
        served.serve_forever()


class Console(ThreadingHTTPServer):
    """Serves one account; other machines cannot reach it, and pages of other origins cannot use it."""

    daemon_threads = True

    def __init__(self, account: Account, port: int) -> None:
        super().__init__(("127.0.0.1", port), partial(_Handler, account=account))

    @property
    def url(self) -> str:
        """The page's URL."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        self.account = account
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # the name that http.server calls
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        run = query.get("run", "")
        routes: dict[str, Callable[[], None]] = {
            "/events": lambda: self._events(run),
            "/definitions": lambda: self._json(definitions(self.account)),
            "/golden": lambda: self._json(golden_row(self.account)),
            "/logs": lambda: self._json(logs(self.account, run, query.get("state", ""))),
            "/report": lambda: self._answer(page(contents(self.account, find(self.account, run))).encode()),
        }
        if parts.path in FILES:
            file, kind = FILES[parts.path]
            self._answer(file.read_bytes(), kind)
        elif parts.path in routes:
            self._try(routes[parts.path])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A row for the API. JSON only: a page of another origin cannot send it without a preflight request."""
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/predict" or self.headers.get("Content-Type") != "application/json" or length > LARGEST:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        row = json.loads(self.rfile.read(length))["row"]
        self._try(lambda: self._json({"label": label_of(self.account, row)}))

    def parse_request(self) -> bool:
        """Refuse other names for this address (DNS rebinding)."""
        parsed = super().parse_request()
        if parsed and self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return False
        return parsed

    def _events(self, run: str) -> None:
        """A snapshot whenever something has changed, until the browser closes the connection."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for text in snapshots(self.account, run):
                # Without a change, a comment: writing it shows whether the browser is still there.
                self.wfile.write(f"data: {text}\n\n".encode() if text else b": \n\n")
                self.wfile.flush()

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except FAILURES as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_GATEWAY)

    def _json(self, document: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(document, default=plain).encode(), "application/json", status)

    def _answer(self, body: bytes, kind: str = "text/html; charset=utf-8", status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
