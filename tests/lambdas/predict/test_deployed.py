"""The API deployed to the local API Gateway and Lambda, with a model that a run has trained.

Three of its consumers share no code with the project: curl, and a client and a fuzzer that read the OpenAPI document.
"""

import csv
import gzip
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from lambdas.predict.api import Api
from lambdas.predict.problem import KINDS
from tests.conftest import ROOT, WDBC
from tests.lambdas.predict.bodies import MARK, cases
from tests.lambdas.predict.conftest import in_stage
from tests.lambdas.predict.signed import Consumer, signature

pytestmark = pytest.mark.cloud


def wdbc(live: Any) -> list[str]:
    """The rows of the example's file, without id and diagnosis."""
    with WDBC.open(newline="") as file:
        return [",".join(row[name] for name in live.account.settings.data.features) for row in csv.DictReader(file)]


@pytest.mark.usefixtures("unthrottled")
def test_the_labels_are_those_of_the_endpoint_on_every_row(live: Any, consumer: Consumer) -> None:
    rows, runtime = wdbc(live), live.client("sagemaker-runtime")
    endpoint = live.account.outputs["Endpoint"]

    every = "\n".join(rows)
    answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=every)
    predictions = json.loads(answer["Body"].read())["predictions"]
    expected = ["BM"[int(prediction["predicted_label"])] for prediction in predictions]
    batch = consumer.post("/predictions", every, "text/csv").json()
    assert [answer["label"] for answer in batch["predictions"]] == expected
    some = rows[::10]
    assert [consumer.post(consumer.path, json.dumps({"data": row})).json() for row in some] == expected[::10]


def test_a_call_without_a_signature_is_a_problem_with_the_requests_id(consumer: Consumer) -> None:
    answer = requests.post(consumer.url + consumer.path, json={"data": ""}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert answer.json()["type"] == "urn:problem-type:unauthorized"
    assert answer.json()["request_id"] == answer.headers["x-amzn-requestid"]


def test_another_method_of_a_path_is_405_and_the_root_is_404(consumer: Consumer) -> None:
    refused = {("GET", "/predictions"): (405, "POST"), ("DELETE", "/health"): (405, "GET"), ("GET", "/"): (404, None)}
    for (method, path), expected in refused.items():
        answer = requests.request(method, consumer.url + path, timeout=10)
        assert (answer.status_code, answer.headers.get("Allow")) == expected
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_too_many_calls_are_429_with_retry_after(consumer: Consumer, throttle: Callable[[float, int], None]) -> None:
    throttle(1, 1)
    for _ in range(100):
        answer = requests.get(consumer.url + "/health", timeout=10)
        if answer.status_code != 200:
            break
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.json()["type"] == "urn:problem-type:too-many-requests"


@pytest.mark.full
@pytest.mark.usefixtures("unthrottled")
def test_the_corpus_is_refused_and_no_log_holds_a_value(live: Any, consumer: Consumer) -> None:
    wrong = []
    for what, path, body, content_type, kind in cases():
        answer = consumer.post({"one": consumer.path, "many": "/predictions"}[path], body, content_type)
        if (answer.status_code, answer.json()["type"]) != (KINDS[kind]["status"], f"urn:problem-type:{kind}"):
            wrong.append((what, answer.status_code, answer.text[:200]))
    assert wrong == []
    for name, value in (("gzip", gzip.compress(MARK.encode() + b" " * 100_000_000)), ("br", MARK.encode())):
        answer = consumer.post(consumer.path, value, encoding=name)
        assert (answer.status_code, answer.json()["type"]) == (415, "urn:problem-type:unsupported-media-type")
    pages = live.client("logs").get_paginator("filter_log_events")
    groups = [group["logGroupName"] for group in live.client("logs").describe_log_groups()["logGroups"]]
    events = [event for name in groups for page in pages.paginate(logGroupName=name) for event in page["events"]]
    lines = [*(event["message"] for event in events), *(live.cloud.home / "aws.log").read_text().splitlines()]
    assert any('"problem": "bad-rows"' in line for line in lines)
    assert not [line for line in lines if MARK in line]


def curl(live: Any, url: str, content_type: str, body: str) -> str:
    """As in docs/api.md."""
    user = live.cloud.credentials
    sign = ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", f"{user.key}:{user.secret}"]
    data = ["--header", f"Content-Type: {content_type}", "--data-binary", body]
    return str(live.command("curl", "--silent", "--show-error", *sign, *data, url).stdout)


def test_rows_by_curl_are_benign_and_malignant_as_json_and_as_csv(
    live: Any, consumer: Consumer, rows: list[list[float]]
) -> None:
    lines = [",".join(map(repr, row)) for row in rows]
    bodies = [json.dumps({"data": line}) for line in lines]
    answers = [curl(live, consumer.url + consumer.path, "application/json", body) for body in bodies]
    many = json.loads(curl(live, f"{consumer.url}/predictions", "text/csv", "\n".join(lines)))["predictions"]
    assert (answers, [prediction["label"] for prediction in many]) == (['"B"', '"M"'], ["B", "M"])


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


def fuzz(url: str, folder: Path, rows: int, *arguments: str, hooks: str = "fuzzer") -> int:
    """Return the number of generated calls, all of which passed."""
    template = Path(__file__).with_name("schemathesis.toml").read_text("utf-8")
    (folder / "schemathesis.toml").write_text(template.replace("100", str(rows)).replace("33", str(rows // 3)))
    program, config = Path(sys.executable).with_name("schemathesis"), ["--config-file", "schemathesis.toml"]
    options = ["--url", url, "--continue-on-failure", *arguments]
    run = [program, "--no-color", *config, "run", f"{url}/openapi.json", *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": f"tests.lambdas.predict.{hooks}", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(run, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    generated = re.search(r"(\d+) generated, (\d+) passed", ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert generated is not None, ran.stdout
    assert generated[1] == generated[2]
    return int(generated[1])


@pytest.mark.usefixtures("unthrottled")
def test_a_fuzzer_finds_no_answer_outside_the_document(consumer: Consumer, tmp_path: Path) -> None:
    assert fuzz(consumer.url, tmp_path, 9, "--generation-deterministic") >= 200


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("unthrottled")
@pytest.mark.parametrize("seed", range(5))
def test_nor_in_ten_thousand_calls(consumer: Consumer, tmp_path: Path, seed: int) -> None:
    """Five runs: one of 10,000 calls keeps gigabytes of requests."""
    options = ("--seed", str(seed), "--phases", "fuzzing")
    assert fuzz(consumer.url, tmp_path, 1_500, *options, hooks="quick_fuzzer") >= 2_000


LENIENT = ["positive_data_acceptance", "negative_data_rejection"]
"""The document has a simple schema per kind. The API takes more, such as 3 for "3", and checks the values of CSV."""


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_fuzzer_finds_none_for_a_table_with_texts_and_gaps(
    encoded: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    excluded = ",".join([*LENIENT, "ignored_auth", "missing_required_header"])
    with in_stage(encoded) as url:
        assert fuzz(url, tmp_path, 300, "--seed", "1", "--exclude-checks", excluded) >= 500
