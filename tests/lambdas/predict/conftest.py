"""A fake SageMaker for the API's tests: an HTTP server that answers InvokeEndpoint as the linear learner would."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from cdk.api.openapi import write_package
from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from pipeline.config import Settings, load
from tests.conftest import ROOT
from tests.lambdas.predict.signed import Consumer

ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
Answer = tuple[int, Mapping[str, str], bytes]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # 5 by default: some of eight connections at once would wait a second


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler, str], Answer | None]) -> Iterator[str]:
    """Serve what `answer` returns for a request and its body, and yield the URL; None closes the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = answer(self, body.decode(errors="surrogateescape"))
            if found is None:
                self.close_connection = True
                return
            status, headers, content = found
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests read what the API logs."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def in_stage(api: Api) -> Iterator[str]:
    """Serve the API as API Gateway does, without authentication, and yield its URL."""

    def answer(request: BaseHTTPRequestHandler, body: str) -> Answer:
        address, headers = urlsplit(request.path.removeprefix("/v1")), dict(request.headers)
        event = {
            **{"httpMethod": request.command, "resource": address.path, "headers": headers, "body": body},
            "queryStringParameters": dict(parse_qsl(address.query)) or None,
        }
        response = respond(event, api)
        return response["statusCode"], response["headers"], response["body"].encode()

    with served(answer) as url:
        yield f"{url}/v1"


@dataclass
class SageMaker:
    """The requests that the server got, and the answers that it gives instead of scores."""

    url: str = ""
    rows: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """The inference ids that data capture would store the rows under."""
    refusal: tuple[int, str, dict[str, Any]] | None = None
    answer: bytes | None = None
    hang_up: int = 0
    held: threading.Event | None = None
    config: str = "breast-cancer-1"
    version: int = 0
    variants: list[str] = field(default_factory=lambda: ["AllTraffic"])
    """Those that answer, in turn; the first is the live model's, another one's is being deployed."""
    described: list[str] = field(default_factory=list)
    """Those that DescribeEndpoint names, if they are not the ones that answer."""
    signatures: dict[str, str] = field(default_factory=dict)
    """The documents in S3, by name."""
    pending: str = ""
    """The config that is being deployed."""
    explanations: dict[str, str] = field(default_factory=dict)
    """explanation.json by the run's name, which is the config's here."""
    models: dict[str, Callable[[str], tuple[int, str, Any]]] = field(default_factory=dict)
    """The answers of variants to a body, if they are not those of the fake model."""

    def respond(self, request: BaseHTTPRequestHandler, body: str) -> Answer | None:
        if self.hang_up:
            self.hang_up -= 1
            return None
        if request.command == "GET":
            _, _, folder, *_ = parts = request.path.split("/")
            name = parts[-1].removesuffix(".json")
            self.actions.append(f"GetObject {name}")
            found = self.signatures.get(name) if folder == "signatures" else self.explanations.get(parts[3])
            return (200, {}, found.encode()) if found else (403, {}, b"<Error/>")
        target, variant = request.headers.get("X-Amz-Target", ""), ""
        if target:
            status, code, document = self.describe(target.partition(".")[2], json.loads(body))
        else:
            variant = self.variants[len(self.rows) % len(self.variants)]
            self.ids.append(request.headers["X-Amzn-SageMaker-Inference-Id"])
            status, code, document = self.invoke(body, variant)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return status, {"x-Amzn-Invoked-Production-Variant": variant, "x-amzn-ErrorType": code}, content

    def explain(self, config: str, document: dict[str, Any] | None) -> None:
        """Put the explanation of the model of an endpoint config into the bucket."""
        self.version = self.version or 1
        if document is not None:
            self.explanations[config] = json.dumps(document)

    def invoke(self, body: str, variant: str) -> tuple[int, str, Any]:
        self.rows.append(body)
        if variant in self.models:
            return self.models[variant](body)
        if self.held:
            self.held.wait(10)
        scores = {"predictions": [_scored(line) for line in body.split("\n")]}
        return self.refusal or (200, "", scores if self.answer is None else self.answer)

    def describe(self, action: str, asked: dict[str, str]) -> tuple[int, str, Any]:
        self.actions.append(action)
        tagged = asked.get("ResourceArn", "").rpartition("/")[2]
        tag = {"Key": "model-package", "Value": f"{ARN}model-package/breast-cancer/{self.version}#{tagged}"}
        run = asked.get("ModelPackageName", "").rpartition("#")[2]
        named = self.described or self.variants
        answers = {
            "DescribeEndpoint": {
                "EndpointArn": f"{ARN}endpoint/breast-cancer",
                "EndpointConfigName": self.config,
                "ProductionVariants": [{"VariantName": name} for name in named[:1]],
                "PendingDeploymentSummary": {
                    "EndpointConfigName": self.pending,
                    "ProductionVariants": [{"VariantName": name} for name in named[1:]],
                },
            },
            "ListTags": {"Tags": [tag] if self.version else []},
            "DescribeModelPackage": {
                "ModelPackageVersion": self.version,
                "CreationTime": 1767323045.25,
                "CustomerMetadataProperties": {"execution": f"{ARN}:{run}"},
            },
        }
        missing = (400, "ValidationException", {"message": "Could not find endpoint"})
        return (200, "", answers[action]) if self.config else missing


def _scored(line: str) -> dict[str, Any]:
    """The score of a fake model: a radius from 15 is malignant, and the score grows with it."""
    radius = float(line.partition(",")[0] or 0)
    return {"score": max(0.0, min(1.0, radius / 30)), "predicted_label": int(radius >= 15)}


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load(ROOT / "pipeline.toml")


@pytest.fixture(scope="session")
def rows(settings: Settings) -> list[list[Any]]:
    return [list(golden.row) for golden in settings.endpoint.golden]


@pytest.fixture(scope="session")
def passengers() -> Settings:
    """Settings of a table with categories, booleans and gaps."""
    return load(Path(__file__).with_name("passengers.toml"))


@pytest.fixture
def sagemaker() -> Iterator[SageMaker]:
    state = SageMaker()
    with served(state.respond) as state.url:
        yield state


@pytest.fixture(scope="session")
def package(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(settings, tmp_path_factory.mktemp("lambda") / "package")


@pytest.fixture
def environment(sagemaker: SageMaker) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": sagemaker.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DATA_BUCKET": "data",
        "ENDPOINT_NAME": "breast-cancer",
    }


@pytest.fixture
def api(environment: dict[str, str], package: Path) -> Api:
    return Api.of(package / "predict", environment)


@pytest.fixture
def encoded(environment: dict[str, str], passengers: Settings, tmp_path: Path) -> Api:
    """The API of `passengers`."""
    return Api.of(write_package(passengers, tmp_path / "encoded") / "predict", environment)


def with_signature(api: Api, **changes: Any) -> Api:
    """The API with another signature of its own; `features` are numbers."""
    if "features" in changes:
        changes["columns"] = [("numeric", False)] * len(changes["features"])
    return replace(api, endpoint=replace(api.endpoint, own=replace(api.endpoint.own, **changes)))


@dataclass
class Caller:
    """Calls the API as API Gateway does and keeps the status and the headers of the answer."""

    api: Api
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, method: str, path: str, body: str | None = None, content_type: str | None = None, **event: Any
    ) -> Any:
        headers = {"Content-Type": content_type} if content_type else {}
        call = {"httpMethod": method, "resource": path, "headers": headers, "body": body}
        proxied: Any = {**call, "requestContext": {"requestId": "request-1"}, **event}
        answer = respond(proxied, self.api)
        self.status, self.headers = answer["statusCode"], answer["headers"]
        return json.loads(answer["body"]) if "json" in self.headers["Content-Type"] else answer["body"]

    def post(self, path: str, document: Any) -> Any:
        return self("POST", path, json.dumps(document), "application/json")

    def problem(self, path: str, document: Any) -> tuple[int, str]:
        """The status and the last part of the problem's type."""
        kind = self.post(path, document)["type"].removeprefix("urn:problem-type:")
        return self.status, kind


@pytest.fixture
def call(api: Api) -> Caller:
    return Caller(api)


@pytest.fixture
def consumer(live: Any) -> Consumer:
    return Consumer(live)


@pytest.fixture
def throttle(live: Any) -> Iterator[Callable[[float, int], None]]:
    """Set the rate and the burst of the deployed API; afterwards they are the settings' again."""
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
    """Raise the limits of the deployed API for tests that send more calls than its consumers may."""
    throttle(10_000, 5_000)
