"""Every way in which SageMaker can fail, as the caller sees it; batches in parts; the model's name."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambdas.predict.api import Api
from lambdas.predict.endpoint import Endpoint
from lambdas.predict.model import Deployed
from lambdas.predict.problem import Problem

PATH, ROW = "/predictbreastcancer", ",".join(["1.5"] * 30)
SECRET = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/x"
NOT_FOUND = "Endpoint breast-cancer of account 123456789012 not found."
MODEL_ERROR = {
    "OriginalStatusCode": 400,
    "OriginalMessage": "unable to evaluate payload provided",
    "LogStreamArn": SECRET,
}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ((400, "ValidationError", {"Message": NOT_FOUND}), (503, "not-deployed", "60")),
        ((400, "ValidationError", {"Message": f"1 validation error detected: {SECRET}"}), (500, "internal", None)),
        (
            (403, "AccessDeniedException", {"Message": f"not authorized to perform on {SECRET}"}),
            (500, "internal", None),
        ),
        ((424, "ModelError", {"Message": "Received client error (400)", **MODEL_ERROR}), (502, "model-error", None)),
        ((429, "ModelNotReadyException", {"Message": SECRET}), (503, "busy", "5")),
        ((400, "ThrottlingException", {"Message": "Rate exceeded"}), (503, "busy", "5")),
        ((500, "InternalFailure", {"Message": SECRET}), (503, "busy", "5")),
        ((503, "ServiceUnavailable", {"Message": SECRET}), (503, "busy", "5")),
        ((530, "InternalDependencyException", {"Message": SECRET}), (503, "busy", "5")),
    ],
)
def test_a_refusal_of_sagemaker_is_a_problem_without_its_words(
    call: Any, sagemaker: Any, capsys: pytest.CaptureFixture[str], refusal: Any, expected: Any
) -> None:
    sagemaker.refusal = refusal
    answer = call.post(PATH, {"data": ROW})
    assert (call.status, answer["type"].rpartition(":")[2], call.headers.get("Retry-After")) == expected
    assert len(sagemaker.rows) == 1
    log = capsys.readouterr().out
    assert json.loads(log)["error"] == refusal[1]
    assert "arn:" not in json.dumps(answer) + log


def test_no_model_yet_says_so(call: Any, sagemaker: Any) -> None:
    sagemaker.refusal = (400, "ValidationError", {"Message": NOT_FOUND})
    assert call.post(PATH, {"data": ROW})["title"] == "No model has been deployed yet"


@pytest.mark.parametrize(
    "answer",
    [
        "", "\xff", "<html>", "[]", "null", "{}",
        '{"predictions": null}',
        '{"predictions": []}',
        '{"predictions": [1]}',
        '{"predictions": [{}]}',
        '{"predictions": [{"score": 0.1}]}',
        '{"predictions": [{"predicted_label": 0}]}',
        '{"predictions": [{"score": NaN, "predicted_label": 0}]}',
        '{"predictions": [{"score": 0, "predicted_label": 2}]}',
        '{"predictions": [{"score": 0, "predicted_label": -1}]}',
        '{"predictions": [{"score": 0, "predicted_label": 0.5}]}',
        '{"predictions": [{"score": "", "predicted_label": 0}]}',
        '{"predictions": [{"score": 0, "predicted_label": 0}, {"score": 0, "predicted_label": 0}]}',
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_models_is_502(call: Any, sagemaker: Any, answer: str) -> None:
    sagemaker.answer = answer.encode("latin-1")
    assert (call.post(PATH, {"data": ROW})["type"], call.status) == ("urn:problem-type:model-error", 502)


def test_a_connection_that_was_closed_while_idle_is_tried_once_more(call: Any, sagemaker: Any) -> None:
    sagemaker.hang_up = 1
    assert call.post(PATH, {"data": ROW}) == "B"


def test_an_endpoint_that_hangs_up_twice_is_503(call: Any, sagemaker: Any) -> None:
    sagemaker.hang_up = 2
    assert (call.post(PATH, {"data": ROW})["type"], call.status) == ("urn:problem-type:busy", 503)
    assert call.headers["Retry-After"] == "5"


def test_an_endpoint_that_is_not_there_is_503(call: Any, bundle: Path, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    call.api = Api.of(bundle / "predict", {**environment, "AWS_ENDPOINT_URL": closed})
    assert (call.post(PATH, {"data": ROW})["type"], call.status) == ("urn:problem-type:busy", 503)


def test_a_model_that_does_not_answer_in_time_is_504(
    call: Any, sagemaker: Any, environment: dict[str, str], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.predict.aws.READ_SECONDS", 0.05)
    call.api = Api.of(bundle / "predict", environment)
    sagemaker.held = threading.Event()
    assert (call.post(PATH, {"data": ROW})["type"], call.status) == ("urn:problem-type:timeout", 504)
    sagemaker.held.set()
    assert len(sagemaker.rows) == 1


def test_without_credentials_it_is_500(call: Any, environment: dict[str, str], bundle: Path) -> None:
    bare = {name: value for name, value in environment.items() if "KEY" not in name}
    call.api = Api.of(bundle / "predict", bare)
    assert (call.post(PATH, {"data": ROW})["type"], call.status) == ("urn:problem-type:internal", 500)


def test_the_address_is_the_regions_in_every_partition(environment: dict[str, str], bundle: Path) -> None:
    class Recorded:
        urls: list[str] = []  # noqa: RUF012

        def send(self, request: Any) -> Any:
            self.urls.append(request.url)
            raise ReadTimeoutError(endpoint_url=request.url)

    del environment["AWS_ENDPOINT_URL"]
    for changes in ({}, {"AWS_REGION": "cn-north-1", "URL_SUFFIX": "amazonaws.com.cn"}):
        api = Api.of(bundle / "predict", {**environment, **changes})
        api.endpoint.aws._http = Recorded()  # type: ignore[assignment]
        with pytest.raises(Problem, match="timeout"):
            api.endpoint.score([[1.0]])
    assert Recorded.urls == [
        "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/breast-cancer/invocations",
        "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/endpoints/breast-cancer/invocations",
    ]


def test_a_batch_larger_than_one_invocation_goes_in_parts_and_keeps_its_order(api: Api, sagemaker: Any) -> None:
    endpoint = replace(api.endpoint, most_bytes=20)
    answers, variant = endpoint.score([[float(radius), 0.5] for radius in range(9, 21)])
    assert [answer["predicted_label"] for answer in answers] == [0] * 6 + [1] * 6
    assert variant == "AllTraffic"
    assert sagemaker.rows[0] == "9.0,0.5\n10.0,0.5"
    assert max(map(len, sagemaker.rows)) <= 20
    assert "\n".join(sagemaker.rows).count("\n") == 11


def test_no_part_is_sent_that_could_end_after_api_gateway_gave_up(api: Api, sagemaker: Any) -> None:
    ticks = iter([0.0, 0.0, 14.9, 15.1])
    endpoint = replace(api.endpoint, most_bytes=5, clock=lambda: next(ticks))
    with pytest.raises(Problem, match="timeout"):
        endpoint.score([[1.0], [2.0], [3.0]])
    assert sagemaker.rows == ["1.0", "2.0"]


def test_the_model_is_looked_up_once_a_minute_and_its_tags_once(api: Api, sagemaker: Any) -> None:
    now = [0.0]
    sagemaker.version = 3
    deployed = Deployed("breast-cancer", api.endpoint.aws, clock=lambda: now[0])
    first = {"name": "breast-cancer-1", "package_version": "3", "trained_at": "2026-01-02T03:04:05+00:00"}
    assert [deployed.model(), deployed.model()] == [first, first]
    sagemaker.config, now[0] = "breast-cancer-2", 59.9
    assert deployed.model() == first
    now[0] = 60.0
    assert deployed.model() == {**first, "name": "breast-cancer-2"}
    now[0] = 120.0
    assert deployed.model()["name"] == "breast-cancer-2"
    assert sagemaker.actions == ["DescribeEndpoint", "ListTags", "DescribeModelPackage"] * 2 + ["DescribeEndpoint"]


def test_a_lookup_that_fails_costs_no_prediction(call: Any, sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sagemaker.config = ""
    assert call.post("/predictions", {"instances": [[1.5] * 30]})["model"] == {
        "name": None,
        "package_version": None,
        "trained_at": None,
        "variant": "AllTraffic",
    }
    assert call.headers["X-Model-Version"] == "unknown"
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line == {"message": "the live model is unknown", "error": "Refused"}


def test_an_answer_larger_than_lambda_gives_is_413(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambdas.predict.api.MOST_ANSWER_BYTES", 10)
    assert call.post("/predictions", {"instances": [[1.5] * 30]})["type"] == "urn:problem-type:too-large"


def test_calls_at_once_share_the_client(api: Api, sagemaker: Any) -> None:
    results: list[Any] = []
    score: Callable[[], None] = lambda: results.append(Endpoint.score(api.endpoint, [[1.0]])[0])  # noqa: E731
    threads = [threading.Thread(target=score) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[{"score": 1 / 30, "predicted_label": 0}]] * 8
