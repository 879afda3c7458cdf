"""The API as it is deployed: by API Gateway's and Lambda's stand-ins, over a model that a run has trained."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.lambdas.predict.bodies import MARK, cases
from tests.lambdas.predict.signed import Consumer

ROOT = Path(__file__).parents[3]
STATUS = {
    kind: problem["status"]
    for kind, problem in json.loads((ROOT / "lambdas/predict/problems.json").read_text()).items()
}
pytestmark = pytest.mark.cloud


def wdbc(live: Any) -> list[str]:
    """The rows of the example as its file has them, without id and diagnosis."""
    with (ROOT / "examples/breast_cancer/wdbc.csv").open(newline="") as file:
        return [",".join(row[name] for name in live.account.settings.data.features) for row in csv.DictReader(file)]


@pytest.mark.usefixtures("unthrottled")
def test_the_labels_are_those_of_the_handler_of_2018_on_every_row(live: Any, consumer: Consumer) -> None:
    rows, runtime = wdbc(live), live.client("sagemaker-runtime")
    endpoint = live.account.outputs["Endpoint"]

    def in_2018(data: str) -> str:
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=data)
        return "M" if int(json.loads(answer["Body"].read())["predictions"][0]["predicted_label"]) == 1 else "B"

    expected = [in_2018(row) for row in rows]
    batch = consumer.post("/predictions", "\n".join(rows), "text/csv").json()
    assert [answer["label"] for answer in batch["predictions"]] == expected
    assert [consumer.post(consumer.path, json.dumps({"data": row})).json() for row in rows] == expected


def test_a_call_without_a_signature_is_a_problem_with_the_requests_id(consumer: Consumer) -> None:
    answer = requests.post(consumer.url + consumer.path, json={"data": ""}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    problem = answer.json()
    assert (problem["type"], problem["request_id"]) == (
        "urn:problem-type:unauthorized",
        answer.headers["x-amzn-requestid"],
    )


def test_what_anyone_may_read_is_open(consumer: Consumer) -> None:
    for path in ("/health", "/openapi.json", "/docs"):
        assert requests.get(consumer.url + path, timeout=10).status_code == 200


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
        if (answer.status_code, answer.json()["type"]) != (STATUS[kind], f"urn:problem-type:{kind}"):
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
