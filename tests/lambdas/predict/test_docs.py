"""The page at /docs, run by Node on a stand-in for a browser's document: it draws, signs, posts and shows."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambdas.predict.api import Api
from lambdas.predict.gateway import respond

PAGE = (Path(__file__).parents[3] / "lambdas" / "predict" / "docs.html").read_text("utf-8")
SCRIPT = PAGE.partition("<script>")[2].partition("</script>")[0]
BROWSER = """
const elements = {};
const made = (tag) => ({
  tag, textContent: "", children: [],
  appendChild(child) { this.children.push(child); return child; },
  get value() { return this.given ?? this.children[0]?.value ?? ""; },
  set value(given) { this.given = given; },
});
const byId = (id) => elements[id] ??= made(id === "what" ? "select" : id);
globalThis.document = { getElementById: byId, createElement: made };
globalThis.location = new URL(process.argv[2]);
const real = fetch;
globalThis.fetch = (url, options) => real(new URL(url, location.href), options);
const settled = async (ready) => { while (!ready()) await new Promise((resolve) => setImmediate(resolve)); };
"""
USE = """
(async () => {
  await settled(() => byId("send").onclick || byId("about").textContent.includes("could not"));
  const shown = [];
  for (const option of byId("what").children) {
    byId("what").value = option.value;
    byId("what").onchange();
    byId("answer").textContent = "";
    byId("send").onclick();
    await settled(() => byId("answer").textContent);
    shown.push([byId("status").textContent, byId("answer").textContent]);
  }
  console.log(JSON.stringify({ title: byId("title").textContent, hidden: byId("signed").hidden, shown }));
})();
"""


def node(script: str, *arguments: str) -> Any:
    program = Path(sys.executable).with_name("node")
    ran = subprocess.run(
        [program, "-", *arguments], input=script, capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    """The API behind a real HTTP server, in a stage as API Gateway has it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            path = self.path.removeprefix("/v1")
            event = {"httpMethod": self.command, "resource": path, "headers": dict(self.headers), "body": body}
            response = respond(event, api)
            self.send_response(response["statusCode"])
            for name, value in response["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response["body"].encode())

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/docs"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_page_posts_the_examples_and_shows_the_answers(address: str) -> None:
    page = node(BROWSER + SCRIPT + USE, address)
    assert (page["title"], page["hidden"]) == ("breast-cancer predictions", False)
    assert [status for status, _ in page["shown"]] == ["200 breast-cancer-1"] * 3
    one, many, csv = (json.loads(answer) for _, answer in page["shown"])
    assert (one, [answer["label"] for answer in many["predictions"]]) == ("B", ["B", "M"])
    assert csv == many


@pytest.mark.parametrize("session", ["", "a/session+token=="])
def test_the_page_signs_as_botocore_does(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, body, region = "https://x.execute-api.eu-west-1.amazonaws.com/v1/predictions", '{"é": 1}', "eu-west-1"
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None))
    request = AWSRequest("POST", url, data=body.encode(), headers={"content-type": "application/json"})
    SigV4Auth(Credentials("AKID", "SECRET", session or None), "execute-api", region).add_auth(request)
    given = {"key": "AKID", "secret": "SECRET", "session": session, "region": region}
    date = f"new Date({now.isoformat()!r})"
    call = f"sign(new URL({url!r}), {body!r}, {{'content-type': 'application/json'}}, {json.dumps(given)}, {date})"
    signed = node(f"{SCRIPT}\n{call}.then((headers) => console.log(JSON.stringify(headers)));")
    assert signed["authorization"] == request.headers["Authorization"]


def test_the_page_asks_nothing_of_any_other_host() -> None:
    assert "//" not in PAGE.replace("// AWS Signature", "")
    assert "connect-src 'self'" in PAGE
