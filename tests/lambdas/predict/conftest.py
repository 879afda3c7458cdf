"""An endpoint for the API's tests: a real HTTP server that answers InvokeEndpoint as SageMaker and the model would."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cdk.predict_bundle import contract, write_bundle
from lambdas.predict.api import Api
from lambdas.predict.contract import Contract
from lambdas.predict.endpoint import Endpoint, client
from pipeline.config import Settings, load

ROOT = Path(__file__).parents[3]


@dataclass
class Runtime:
    """What the server was sent, and what it is to answer in place of scores: (status, error code, body)."""

    url: str = ""
    calls: list[str] = field(default_factory=list)
    refusal: tuple[int, str, dict[str, Any]] | None = None
    answer: bytes | None = None
    delay: float = 0
    sizes: list[int] = field(default_factory=list)


def _scored(line: str) -> dict[str, Any]:
    """The score of a made-up linear model: rows with a radius above 15 are malignant."""
    score = 1 / (1 + math.exp(max(-700.0, min(700.0, 15 - float(line.split(",", maxsplit=1)[0])))))
    return {"score": score, "predicted_label": int(score > 0.5)}


def _handler(runtime: Runtime) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            runtime.calls.append(body)
            runtime.sizes.append(len(body))
            time.sleep(runtime.delay)
            status, code, answer = 200, "", json.dumps({"predictions": [_scored(line) for line in body.split("\n")]})
            if runtime.refusal:
                status, code, document = runtime.refusal
                answer = json.dumps(document)
            content = answer.encode() if runtime.answer is None else runtime.answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("x-Amzn-Invoked-Production-Variant", "AllTraffic")
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests read what the API logs."""

    return Handler


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load(ROOT / "pipeline.toml")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    state = Runtime()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "AWS_ENDPOINT_URL": state.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def bundle(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(settings, tmp_path_factory.mktemp("lambda") / "bundle")


@pytest.fixture
def api(settings: Settings, runtime: Runtime, bundle: Path) -> Api:
    return Api(Contract(**contract(settings)), Endpoint("breast-cancer", client()), bundle / "predict")
