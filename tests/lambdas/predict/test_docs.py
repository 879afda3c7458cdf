"""The page at /docs, run by Node on a fake of a browser's document: it draws, signs, posts and shows."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambdas.predict.api import Api
from lambdas.predict.gateway import ProxyEvent, respond
from tests.conftest import ROOT
from tests.lambdas.predict.conftest import Answer, served

PAGE = (ROOT / "lambdas" / "predict" / "docs.html").read_text("utf-8")
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
  await settled(() => byId("send").onclick || byId("about").textContent.includes("Cannot"));
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
  process.exit();
})();
"""


def node(script: str, *arguments: str) -> Any:
    command = [Path(sys.executable).with_name("node"), "-", *arguments]
    ran = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_page_posts_the_examples_and_shows_the_answers(api: Api) -> None:
    def in_stage(request: BaseHTTPRequestHandler, body: str) -> Answer:
        path, headers = request.path.removeprefix("/v1"), dict(request.headers)
        event: ProxyEvent = {"httpMethod": request.command, "resource": path, "headers": headers, "body": body}
        response = respond(event, api)
        return response["statusCode"], response["headers"], response["body"].encode()

    with served(in_stage) as url:
        page = node(BROWSER + SCRIPT + USE, f"{url}/v1/docs")
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
