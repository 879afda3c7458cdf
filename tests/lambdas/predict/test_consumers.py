"""Two consumers that share no code with the project: curl, and a client generated from the OpenAPI document."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from tests.lambdas.predict.signed import Consumer, signature

pytestmark = pytest.mark.cloud


def curl(live: Any, url: str, content_type: str, body: str) -> str:
    """As in docs/api.md."""
    sign = ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "test:test"]
    data = ["--header", f"Content-Type: {content_type}", "--data-binary", body]
    return str(live.command("curl", "--silent", "--show-error", *sign, *data, url).stdout)


def test_a_row_by_curl_is_benign_and_another_malignant(live: Any, consumer: Consumer, rows: list[list[float]]) -> None:
    bodies = [json.dumps({"data": ",".join(map(repr, row))}) for row in rows]
    answers = [curl(live, consumer.url + consumer.path, "application/json", body) for body in bodies]
    assert answers == ['"B"', '"M"']


def test_a_csv_by_curl_is_answered_row_by_row(live: Any, consumer: Consumer, rows: list[list[float]]) -> None:
    body = "\n".join(",".join(map(repr, row)) for row in rows)
    answer = json.loads(curl(live, f"{consumer.url}/predictions", "text/csv", body))
    assert [prediction["label"] for prediction in answer["predictions"]] == ["B", "M"]


def sign(request: httpx.Request) -> httpx.Request:
    request.headers.update(signature(request.method, str(request.url), request.read(), None))
    return request


@pytest.fixture
def client(consumer: Consumer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package that openapi-python-client generates from the document as it is served."""
    document = tmp_path / "openapi.json"
    document.write_text(requests.get(f"{consumer.url}/openapi.json", timeout=10).text)
    tools = Path(sys.executable).parent
    command: list[str | Path] = [tools / "openapi-python-client", "generate", "--meta", "none", "--path", document]
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    command += ["--output-path", "consumer"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("consumer")


def test_a_generated_client_predicts_and_reads_a_problem(
    client: Any, consumer: Consumer, rows: list[list[float]]
) -> None:
    calls = {name: importlib.import_module(f"consumer.api.default.{name}") for name in ("predict_one", "predict_many")}
    models = importlib.import_module("consumer.models")
    with client.Client(base_url=consumer.url, httpx_args={"auth": sign}) as api:
        data = [models.Data(data=",".join(map(repr, row))) for row in rows]
        labels = [calls["predict_one"].sync(client=api, body=body) for body in data]
        many = calls["predict_many"].sync(client=api, body=models.Instances(instances=rows))
        problem = calls["predict_many"].sync(client=api, body=models.Instances(instances=[rows[0], rows[1][:29]]))
    assert labels == [models.Label.B, models.Label.M]
    assert [prediction.label for prediction in many.predictions] == labels
    assert many.model.package_version is not None
    assert problem.type_ is models.ProblemType.URNPROBLEM_TYPEBAD_ROWS
    fault = {"row": 2, "detail": "has 29 value(s); the model takes 30"}
    assert [error.to_dict() for error in problem.errors] == [fault]
