"""A hostile page in a real browser: it creates, resets and reads nothing of a local AWS that runs beside it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from local_aws.cloud import Cloud, running

from tests.conftest import UNMEASURED
from tests.ops.browser import FLAGS, launch, needed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(180)]
EVIL = "evil.example"
NAMES = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""The owner of a name may point it at this machine."""
ATTACK = """async ([aws, rebound, presigned]) => {
  const said = [];
  const attempt = async (name, url, options) => {
    try { const answer = await fetch(url, options); said.push([name, answer.type, await answer.text()]); }
    catch (error) { said.push([name, "refused", ""]); }
  };
  for (const [name, base] of [["direct", aws], ["rebound", rebound]]) {
    for (const mode of ["cors", "no-cors"]) {
      await attempt(name, `${base}/_ministack/reset`, {method: "POST", mode});
      await attempt(name, `${base}/`, {mode});
      await attempt(name, base + presigned, {mode});
      await attempt(name, `${base}/`, {method: "POST", mode, headers: {"Content-Type": "text/plain"},
                                       body: "Action=CreateUser&UserName=evil&Version=2010-05-08"});
    }
    await attempt(name, `${base}/evil-bucket`, {method: "PUT"});
    await attempt(name, `${base}/`, {method: "POST", body: "[]", headers: {"X-Amz-Target": "SageMaker.LocalFaults"}});
    const image = new Image(); image.src = base + presigned;
    const script = document.createElement("script"); script.src = base + presigned; document.head.append(script);
    const frame = document.createElement("iframe"); frame.name = `frame-${name}`; document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: `${base}/_ministack/reset`, target: frame.name, enctype: "text/plain"});
    document.body.append(form); form.submit();
    await new Promise((loaded) => { frame.onload = loaded; });
  }
  return said;
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


@contextmanager
def site() -> Iterator[int]:
    """The port of a web site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def alone() -> Iterator[Cloud]:
    with running(environment=UNMEASURED) as started:
        yield started


@pytest.mark.drill(
    "web", "a hostile page in Chromium, by origin and by DNS rebinding", "nothing is created, reset or read"
)
@needed
def test_a_hostile_page_creates_resets_and_reads_nothing(alone: Cloud) -> None:
    cloud = alone
    own = cloud.credentials
    session = boto3.Session(own.key, own.secret, region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=cloud.endpoint_url)
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="secret.txt", Body=b"the secret text")
    url = s3.generate_presigned_url("get_object", {"Bucket": "private", "Key": "secret.txt"})
    rebound, answers = f"http://{EVIL}:{cloud.port}", list[tuple[str, int]]()
    with site() as port:
        flags = [*(flag for flag in FLAGS if not flag.startswith("--host-resolver-rules")), NAMES]
        browser = launch(flags)
        page = browser.new_page()
        page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        page.goto(f"http://{EVIL}:{port}/")
        said = page.evaluate(ATTACK, [cloud.endpoint_url, rebound, url.removeprefix(cloud.endpoint_url)])
        browser.close()
    assert [(kind, text) for _, kind, text in said if text] == []
    asked = {(address.split("/")[2], status) for address, status in answers if f":{cloud.port}" in address}
    assert asked == {(f"{name}:{cloud.port}", 403) for name in (EVIL, "127.0.0.1")}
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["private"]
    assert s3.get_object(Bucket="private", Key="secret.txt")["Body"].read() == b"the secret text"
    assert session.client("iam", endpoint_url=cloud.endpoint_url).list_users()["Users"] == []
