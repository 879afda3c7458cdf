"""Each failure of SageMaker as the caller sees it; batches in parts; the model's name."""

import json
import shutil
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambdas.predict.api import Api
from lambdas.predict.endpoint import Answer, Endpoint
from lambdas.predict.problem import Problem

PATH, BODY = "/predictbreastcancer", {"data": ",".join(["1.5"] * 30)}


def score(endpoint: Endpoint, rows: list[str]) -> tuple[list[Answer], str]:
    return endpoint.score(rows, endpoint.own.name, endpoint.last_start())


REFUSALS = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text("utf-8"))["refusal"]


@pytest.mark.parametrize("case", REFUSALS, ids=[case["code"] for case in REFUSALS])
def test_a_refusal_of_sagemaker_is_a_problem_without_its_message(
    call: Any, sagemaker: Any, capsys: pytest.CaptureFixture[str], case: dict[str, Any]
) -> None:
    sagemaker.refusal = (case["status"], case["code"], case["answer"])
    problem = call.post(PATH, BODY)
    answered = [call.status, problem["type"].rpartition(":")[2], call.headers.get("Retry-After", "")]
    assert answered == case["expected"]
    assert len(sagemaker.rows) == 1
    log = capsys.readouterr().out
    assert json.loads(log)["error"] == case["code"]
    assert "arn:" not in json.dumps(problem) + log
    assert problem["type"] != "urn:problem-type:not-deployed" or problem["title"] == "No model has been deployed yet"


WRONG = """[1] [{}] [{"score":0.1}] [{"predicted_label":0}] [{"score":NaN,"predicted_label":0}]
[{"score":0,"predicted_label":2}] [{"score":0,"predicted_label":-1}] [{"score":0,"predicted_label":0.5}]
[{"score":"","predicted_label":0}] [{"score":0,"predicted_label":0},{"score":0,"predicted_label":0}] null []"""


@pytest.mark.parametrize(
    "answer", ["", "\xff", "<html>", "[]", "null", "{}", *(f'{{"predictions": {value}}}' for value in WRONG.split())]
)
def test_an_answer_that_is_not_a_linear_learners_is_502(call: Any, sagemaker: Any, answer: str) -> None:
    sagemaker.answer = answer.encode("latin-1")
    assert call.problem(PATH, BODY) == (502, "model-error")


def test_a_connection_that_was_closed_while_idle_is_retried_once(call: Any, sagemaker: Any) -> None:
    sagemaker.hang_up = 1
    assert call.post(PATH, BODY) == "B"
    sagemaker.hang_up = 2
    assert (call.problem(PATH, BODY), call.headers["Retry-After"]) == ((503, "busy"), "5")


def test_a_model_that_does_not_answer_in_time_is_504(
    call: Any, sagemaker: Any, environment: dict[str, str], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.predict.aws.READ_SECONDS", 0.05)
    call.api = Api.of(package / "predict", environment)
    sagemaker.held = threading.Event()
    assert call.problem(PATH, BODY) == (504, "timeout")
    sagemaker.held.set()
    assert len(sagemaker.rows) == 1


def test_a_serverless_endpoint_may_start_first_and_takes_smaller_parts(
    call: Any, environment: dict[str, str], package: Path, tmp_path: Path
) -> None:
    shutil.copytree(package / "predict", tmp_path / "predict")
    settings = json.loads((package / "predict/api.json").read_text())
    assert settings["serverless"] is False
    (tmp_path / "predict/api.json").write_text(json.dumps({**settings, "serverless": True}))
    usual, cold = (Api.of(folder / "predict", environment).endpoint for folder in (package, tmp_path))
    assert (usual.aws.read_seconds, usual.max_bytes) == (12, 6_291_456)
    assert (cold.aws.read_seconds, cold.max_bytes) == (25, 4_194_304)
    assert cold.last_start() < usual.last_start()


def test_without_an_endpoint_it_is_503_and_without_credentials_500(
    call: Any, environment: dict[str, str], package: Path
) -> None:
    call.api = Api.of(package / "predict", {**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert call.problem(PATH, BODY) == (503, "busy")
    call.api = Api.of(package / "predict", {**environment, "AWS_ACCESS_KEY_ID": ""})
    assert call.problem(PATH, BODY) == (500, "internal")


def test_the_address_is_the_regions_in_every_partition(environment: dict[str, str], package: Path) -> None:
    class Recorded:
        urls: list[str] = []  # noqa: RUF012

        def send(self, request: Any) -> Any:
            self.urls.append(request.url)
            raise ReadTimeoutError(endpoint_url=request.url)

    del environment["AWS_ENDPOINT_URL"]
    for changes in ({}, {"AWS_REGION": "cn-north-1", "URL_SUFFIX": "amazonaws.com.cn"}):
        api = Api.of(package / "predict", {**environment, **changes})
        api.endpoint.aws._http = Recorded()  # type: ignore[assignment]
        with pytest.raises(Problem, match="timeout"):
            score(api.endpoint, ["1.0"])
    assert Recorded.urls == [
        "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/breast-cancer/invocations",
        "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/endpoints/breast-cancer/invocations",
    ]


def test_a_batch_larger_than_one_invocation_goes_in_parts_and_keeps_its_order(api: Api, sagemaker: Any) -> None:
    endpoint = replace(api.endpoint, max_bytes=20)
    answers, variant = score(endpoint, [f"{radius}.0,0.5" for radius in range(9, 21)])
    assert [answer["predicted_label"] for answer in answers] == [0] * 6 + [1] * 6
    assert variant == "AllTraffic"
    assert sagemaker.rows[0] == "9.0,0.5\n10.0,0.5"
    assert max(map(len, sagemaker.rows)) <= 20
    assert "\n".join(sagemaker.rows).count("\n") == 11


def test_a_part_is_measured_in_bytes(api: Api, sagemaker: Any) -> None:
    score(replace(api.endpoint, max_bytes=8), ["1,é", "2,é"])
    assert sagemaker.rows == ["1,é", "2,é"]


def test_no_part_is_sent_that_could_end_after_api_gateway_gave_up(api: Api, sagemaker: Any) -> None:
    ticks = iter([0.0, 0.0, 14.9, 15.1])
    endpoint = replace(api.endpoint, max_bytes=5, clock=lambda: next(ticks))
    with pytest.raises(Problem, match="timeout"):
        score(endpoint, ["1.0", "2.0", "3.0"])
    assert sagemaker.rows == ["1.0", "2.0"]


def test_the_model_is_looked_up_once_a_minute_and_its_tags_once(api: Api, sagemaker: Any) -> None:
    now = [0.0]
    sagemaker.version = 3
    live = replace(api.endpoint, clock=lambda: now[0])
    first = {"name": "breast-cancer-1", "package_version": "3", "trained_at": "2026-01-02T03:04:05+00:00"}
    own = live.own.name
    assert [live.model(own), live.model(own)] == [first, first]
    sagemaker.config, now[0] = "breast-cancer-2", 59.9
    assert live.model(own) == first
    now[0] = 60.0
    assert live.model(own) == {**first, "name": "breast-cancer-2"}
    now[0] = 120.0
    assert live.model(own)["name"] == "breast-cancer-2"
    assert sagemaker.actions == ["DescribeEndpoint", "ListTags", "DescribeModelPackage"] * 2 + ["DescribeEndpoint"]


def test_a_lookup_that_fails_costs_no_prediction(call: Any, sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sagemaker.config = ""
    model = dict.fromkeys(("name", "package_version", "trained_at")) | {"variant": "AllTraffic"}
    assert call.post("/predictions", {"instances": [[1.5] * 30]})["model"] == model
    assert call.headers["X-Model-Version"] == "unknown"
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line == {"message": "the live model is unknown", "error": "Refused"}


def test_an_answer_larger_than_lambda_gives_is_413(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambdas.predict.api.MAX_ANSWER_BYTES", 10)
    assert call.problem("/predictions", {"instances": [[1.5] * 30]}) == (413, "too-large")


def test_calls_at_once_share_the_client(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: score(api.endpoint, ["1.0"])[0], range(8)))
    assert results == [[{"score": 1 / 30, "predicted_label": 0}]] * 8
