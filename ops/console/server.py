"""The console: one page on 127.0.0.1 that shows the pipeline as it runs, by server-sent events."""

import json
from collections.abc import Callable
from contextlib import suppress
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
HTML, JSON = "text/html; charset=utf-8", "application/json"
FILES = {"page.html": HTML, "console.css": "text/css", "console.js": "text/javascript", "graph.js": "text/javascript"}
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
        super().__init__(("127.0.0.1", port), _Handler)
        self.account = account

    @property
    def url(self) -> str:
        """The page's URL."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Console

    def do_GET(self) -> None:  # the name that http.server calls
        parts, account = urlsplit(self.path), self.server.account
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        run, file = query.get("run", ""), parts.path.removeprefix("/") or "page.html"
        routes: dict[str, Callable[[], object]] = {
            "definitions": lambda: definitions(account),
            "golden": lambda: golden_row(account),
            "logs": lambda: logs(account, run, query.get("state", "")),
        }
        if file in FILES:
            self._answer((HERE / file).read_bytes(), FILES[file])
        elif file == "events":
            self._events(run)
        elif file == "report":
            self._try(lambda: page(contents(account, find(account, run))), HTML)
        elif file in routes:
            self._try(routes[file])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A row for the API. JSON only: a page of another origin cannot send it without a preflight request."""
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/predict" or self.headers.get("Content-Type") != "application/json" or length > LARGEST:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        row = json.loads(self.rfile.read(length))["row"]
        self._try(lambda: {"label": label_of(self.server.account, row)})

    def parse_request(self) -> bool:
        """Refuse other names for this address (DNS rebinding)."""
        parsed = super().parse_request()
        if parsed and self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return False
        return parsed

    def _events(self, run: str) -> None:
        """A snapshot whenever something has changed, until the browser closes the connection."""
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream"})
        with suppress(BrokenPipeError, ConnectionResetError):
            for text in snapshots(self.server.account, run):
                # Without a change, a comment: writing it shows whether the browser is still there.
                self.wfile.write(f"data: {text}\n\n".encode() if text else b": \n\n")
                self.wfile.flush()

    def _try(self, make: Callable[[], object], kind: str = JSON) -> None:
        try:
            made, status = make(), HTTPStatus.OK
        except FAILURES as error:
            made, status, kind = {"error": str(error)}, HTTPStatus.BAD_GATEWAY, JSON
        text = json.dumps(made, default=plain) if kind == JSON else str(made)
        self._answer(text.encode(), kind, status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(
            status, {"Content-Type": kind, "Content-Length": str(len(body)), "X-Content-Type-Options": "nosniff"}
        )
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Cache-Control": "no-store"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
