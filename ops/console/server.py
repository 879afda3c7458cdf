"""The console: one page on 127.0.0.1 that shows the pipeline as it runs, by server-sent events."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from ops.account import FAILURES, Account, OpsError
from ops.drift import most_drifted
from ops.jobs import jobs_of, log_of, of_state
from ops.output import CONFIG, Config, plain
from ops.predict import Example, example, label_of
from ops.report.page import contents, page
from ops.runs import file_of, find, steps
from ops.status import status_of

HERE = Path(__file__).parent
HTML, JSON, SCRIPT = "text/html; charset=utf-8", "application/json", "text/javascript"
FILES = {"page.html": HTML, "console.css": "text/css", "console.js": SCRIPT, "graph.js": SCRIPT}
RUNS, LINES = 20, 200
LARGEST = 100_000
"""The size of a posted row at most, in bytes."""
REFRESH_SECONDS = 60
"""The age of a snapshot at most: a change of an alarm or of the registry starts no execution."""


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
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise OpsError(f"port {port} on 127.0.0.1 is taken: choose another --port") from error
        self.account, self.url = account, f"http://127.0.0.1:{self.server_port}/"
        self.newest = Newest(account)


class _Handler(BaseHTTPRequestHandler):
    server: Console

    def handle(self) -> None:
        """Answer requests until the browser closes its page, which is no error."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:  # the name that http.server calls
        parts, account = urlsplit(self.path), self.server.account
        query = dict(parse_qsl(parts.query))
        run, file = query.get("run", ""), parts.path.removeprefix("/") or "page.html"
        routes: dict[str, Callable[[], object]] = {
            "definitions": lambda: _definitions(account),
            "example": lambda: asdict(example(account)),
            "logs": lambda: _logs(account, run, query.get("state", "")),
            "report": lambda: page(contents(account, find(account, run))),
        }
        if file == "events":
            self._events(run)
        elif file in FILES:
            self._answer((HERE / file).read_text, FILES[file])
        elif file in routes:
            self._answer(routes[file], HTML if file == "report" else JSON)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A row for the API. JSON only: a page of another origin cannot send it without a preflight request."""
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/predict" or self.headers.get("Content-Type") != JSON or length > LARGEST:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        given = json.loads(self.rfile.read(length))
        asked = Example(given["row"], given.get("signature", ""))
        self._answer(lambda: {"label": label_of(self.server.account, asked)}, JSON)

    def parse_request(self) -> bool:
        """Refuse other names for this address (DNS rebinding)."""
        parsed = super().parse_request()
        if parsed and self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return False
        return parsed

    def _events(self, run: str) -> None:
        """A snapshot whenever something has changed, until the browser closes the connection."""
        self._head(HTTPStatus.OK, "text/event-stream")
        for text in snapshots(self.server.account, self.server.newest, run):
            # Without a change, a comment: writing it shows whether the browser is still there.
            self.wfile.write(f"data: {text}\n\n".encode() if text else b": \n\n")
            self.wfile.flush()

    def _answer(self, make: Callable[[], object], kind: str) -> None:
        try:
            made, status = make(), HTTPStatus.OK
        except FAILURES as error:
            made, status, kind = {"error": str(error)}, HTTPStatus.BAD_GATEWAY, JSON
        self._head(status, kind)
        self.wfile.write((json.dumps(made, default=plain) if kind == JSON else str(made)).encode())

    def _head(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


class Newest:
    """The newest execution of each machine with its status, asked for once however many pages are open."""

    def __init__(self, account: Account) -> None:
        self.account, self._lock, self._text, self._asked = account, threading.Lock(), "", -math.inf

    def text(self, age: float) -> str:
        """What was found at most `age` seconds ago."""
        with self._lock:
            if time.monotonic() > self._asked + age:
                self._text, self._asked = " ".join(self._find()), time.monotonic()
            return self._text

    def _find(self) -> Iterator[str]:
        for name in ("StateMachine", "DeployMachine", "DriftMachine"):
            machine = self.account.outputs[name]
            for each in self.account.states.list_executions(stateMachineArn=machine, maxResults=1)["executions"]:
                yield f"{each['executionArn']} {each['status']}"


def snapshots(account: Account, newest: Newest, chosen: str) -> Iterator[str]:
    """A snapshot as JSON whenever it has changed, else an empty text; waits in between.

    While an execution runs, the snapshot is read each time. Otherwise only the newest executions are listed, which is
    cheap; the snapshot is read when one of them has changed, or after REFRESH_SECONDS.
    """
    running, idle = (0.1, 2.0) if account.local else (5.0, 10.0)
    seen, text, read, pause = "", "", 0.0, 0.0
    while True:
        found, now = "", ""
        try:
            now = newest.text(0.9 * pause)
            if now != seen or "RUNNING" in now or time.monotonic() > read + REFRESH_SECONDS:
                found, read = json.dumps(_snapshot(account, chosen), default=plain), time.monotonic()
        except FAILURES as error:
            found = json.dumps({"error": str(error)})
        yield found if found != text else ""
        seen, text = now, found or text
        pause = running if "RUNNING" in now else idle
        time.sleep(pause)


def _snapshot(account: Account, chosen: str) -> dict[str, object]:
    """The status, the states of the run of this name or else of the newest run, the drift, the models."""
    found, group = status_of(account, RUNS), account.outputs["ModelPackageGroup"]
    run = next((each for each in found["runs"] if each.name == chosen), next(iter(found["runs"]), None))
    drift = file_of(account, found["drift"]["check"], "drift/drift.json") if found["drift"] else {}
    models = account.sagemaker.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
    )["ModelPackageSummaryList"]
    states = steps(account, run) if run else []
    return {**found, "run": run, "steps": states, "drifted": most_drifted(drift, 5), "models": models}


def _definitions(account: Account) -> dict[str, object]:
    return {"retrain": account.definition("StateMachine"), "deploy": account.definition("DeployMachine")}


def _logs(account: Account, name: str, state: str) -> dict[str, list[str]]:
    """The logs of a state's jobs in a run: {errors, lines}."""
    found = [log_of(account, job) for job in of_state(jobs_of(account, find(account, name)), state)]
    lines = [line for _, log in found for line in log]
    return {"errors": [line for errors, _ in found for line in errors], "lines": lines[-LINES:]}
