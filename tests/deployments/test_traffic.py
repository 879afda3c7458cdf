"""The consumer of these tests: it sees what is lost, and says nothing of requests that were never sent."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.deployments import world
from tests.deployments.world import LEAST, Traffic


class Api(BaseHTTPRequestHandler):
    """Answers right, except for the second request, whose connection it closes."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.asked == 2:
            self.close_connection = True
            return
        body = json.dumps("B").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What a consumer needs to know of a deployed pipeline, whose API is the one above."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(world.predict, "example", lambda _: SimpleNamespace(row="1,2"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Api.asked = 0
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield SimpleNamespace(account=SimpleNamespace(api_url=f"http://127.0.0.1:{server.server_port}/"))
        server.shutdown()


def test_a_request_without_an_answer_is_lost_and_not_sent_again(deployed: Any) -> None:
    with Traffic(deployed) as traffic:
        wait_for(lambda: len(traffic.answers) >= LEAST)
    assert Api.asked == len(traffic.answers)
    assert [answer.partition(":")[0] for answer in traffic.failed] == ["lost"]
    assert [answer.partition(":")[0] for answer in traffic.answers][:3] == ["B", "lost", "B"]


def test_a_consumer_ends_with_enough_answers_to_say_something(deployed: Any) -> None:
    with Traffic(deployed) as traffic:
        assert len(traffic.answers) < LEAST
    assert len(traffic.answers) >= LEAST
