"""SageMaker for the API's tests: a real HTTP server that answers InvokeEndpoint as the linear learner would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cdk.api.predict_package import write_package
from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from pipeline.config import Settings, load
from tests.lambdas.predict.signed import Consumer

ROOT = Path(__file__).parents[3]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@dataclass
class SageMaker:
    """What the server was sent, and what it is to answer in place of scores."""

    url: str = ""
    rows: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    refusal: tuple[int, str, dict[str, Any]] | None = None
    answer: bytes | None = None
    hang_up: int = 0
    held: threading.Event | None = None
    config: str = "breast-cancer-1"
    version: int = 0

    def invoke(self, body: str) -> tuple[int, str, bytes]:
        self.rows.append(body)
        if self.held:
            self.held.wait(10)
        if self.refusal:
            status, code, document = self.refusal
            return status, code, json.dumps(document).encode()
        scores = {"predictions": [_scored(line) for line in body.split("\n")]}
        return 200, "", json.dumps(scores).encode() if self.answer is None else self.answer

    def control(self, action: str) -> tuple[int, str, bytes]:
        self.actions.append(action)
        if action == "DescribeEndpoint" and self.config:
            live = {"EndpointArn": f"{ARN}endpoint/breast-cancer", "EndpointConfigName": self.config}
            return 200, "", json.dumps(live).encode()
        if action == "ListTags":
            tag = {"Key": "model-package", "Value": f"{ARN}model-package/breast-cancer/{self.version}"}
            return 200, "", json.dumps({"Tags": [tag] if self.version else []}).encode()
        if action == "DescribeModelPackage":
            package = {"ModelPackageVersion": self.version, "CreationTime": 1767323045.25}
            return 200, "", json.dumps(package).encode()
        return 400, "ValidationException", b'{"message": "Could not find endpoint"}'


def _scored(line: str) -> dict[str, Any]:
    """The score of a made-up model: a radius from 15 is malignant, and the score grows with it."""
    radius = float(line.partition(",")[0])
    return {"score": max(0.0, min(1.0, radius / 30)), "predicted_label": int(radius >= 15)}


def _handler(sagemaker: SageMaker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if sagemaker.hang_up:
                sagemaker.hang_up -= 1
                self.close_connection = True
                return
            target = self.headers.get("X-Amz-Target", "")
            call = sagemaker.control(target.partition(".")[2]) if target else sagemaker.invoke(body)
            status, code, content = call
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("x-Amzn-Invoked-Production-Variant", "AllTraffic")
            self.send_header("x-amzn-ErrorType", code)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests read what the API logs."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # 5 by default: of eight connections at once some would wait a second


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load(ROOT / "pipeline.toml")


@pytest.fixture
def sagemaker() -> Iterator[SageMaker]:
    state = SageMaker()
    server = _Server(("127.0.0.1", 0), _handler(state))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def bundle(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(settings, tmp_path_factory.mktemp("lambda") / "bundle")


@pytest.fixture
def environment(sagemaker: SageMaker) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": sagemaker.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ENDPOINT_NAME": "breast-cancer",
    }


@pytest.fixture
def api(environment: dict[str, str], bundle: Path) -> Api:
    return Api.of(bundle / "predict", environment)


@dataclass
class Caller:
    """Calls the API as API Gateway does and keeps each answer's status, headers and parsed body."""

    api: Api
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, method: str, path: str, body: str | None = None, content_type: str | None = None, **event: Any
    ) -> Any:
        headers = {"Content-Type": content_type} if content_type else {}
        call = {"httpMethod": method, "resource": path, "path": path, "headers": headers, "body": body}
        answer = respond({**call, "requestContext": {"requestId": "request-1"}, **event}, self.api)
        self.status, self.headers = answer["statusCode"], answer["headers"]
        return json.loads(answer["body"]) if "json" in self.headers["Content-Type"] else answer["body"]

    def post(self, path: str, document: Any) -> Any:
        return self("POST", path, json.dumps(document), "application/json")


@pytest.fixture
def call(api: Api) -> Caller:
    return Caller(api)


@pytest.fixture
def consumer(live: Any) -> Consumer:
    return Consumer(live)


@pytest.fixture
def throttle(live: Any) -> Iterator[Callable[[float, int], None]]:
    """Set the rate and the burst that the deployed API takes; in the end they are the settings' again."""
    gateway, api = live.client("apigateway"), live.account.settings.api
    identifier = live.account.api_url.rpartition("/v1/")[0].rpartition("/")[2]

    def throttle(rate: float, burst: int) -> None:
        limits = {"rateLimit": rate, "burstLimit": burst}
        patches = [{"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(limits[name])} for name in limits]
        gateway.update_stage(restApiId=identifier, stageName="v1", patchOperations=patches)

    yield throttle
    throttle(api.rate_per_second, api.burst)


@pytest.fixture
def unthrottled(throttle: Callable[[float, int], None]) -> None:
    """The deployed API takes what comes while a test sends more calls than its consumers may."""
    throttle(10_000, 5_000)
