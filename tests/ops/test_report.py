"""The run report: complete, self-contained, and without faults in a browser."""

import json
import math
import re
from pathlib import Path

import pytest

from ops.report.coefficients import coefficients
from ops.report.page import Contents, contents, page
from ops.runs import Run
from tests.conftest import Deployed
from tests.ops.browser import faults_of, needed
from tests.ops.typing import ROWS, ran, typed

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def compared(live: Deployed) -> Run:
    """A run that had a champion to be compared with."""
    run = ran(live, "compared.csv", *ROWS[::-1])
    assert run.outcome == "accepted", run
    return run


@pytest.fixture(scope="module")
def document(live: Deployed, compared: Run) -> Contents:
    return contents(live.account, compared)


def test_the_report_has_all_that_is_known_of_a_run(live: Deployed, document: Contents) -> None:
    reason = "passes every threshold of the quality gate and is not worse than the champion"
    assert document["run"].why.startswith(reason)
    states = {step.state for step in document["steps"]}
    assert states >= {"Preprocess", "Train", "Evaluate", "Deploy", "Deploy/SmokeTest", "Done"}
    passed = {metric["name"]: metric["passed"] for metric in document["metrics"] if metric["rule"]}
    assert passed == {"auc": "yes", "accuracy": "yes", "log_loss": "yes"}
    assert document["champion"] not in ("", document["run"].name)
    assert document["champion_baseline"]["features"].keys() == document["baseline"]["features"].keys()
    assert document["package"]["ModelApprovalStatus"] == "Approved"
    assert len(document["run"].request["data"]["fingerprint"]) == 64
    jobs = [job for job, *_ in document["cost"]]
    assert sorted(jobs) == ["all", "champion", "evaluate", "preprocess", "score", "train"]
    assert document["cost"][-1][2] > 0


def test_the_coefficients_are_those_that_the_model_answers_with(live: Deployed, document: Contents) -> None:
    """Of two rows that differ in one feature, the scores' logits differ by the weight times that difference."""
    artifact, features = document["artifact"], live.account.settings.data.features
    weights = {line.feature: line.weight for line in coefficients(live.account, artifact, features, {})}
    assert weights.keys() == set(features)
    largest = document["coefficients"][0]
    spread = document["baseline"]["features"][largest.feature]["standard_deviation"]
    assert largest.effect == pytest.approx(weights[largest.feature] * spread)
    row = list(live.account.settings.endpoint.golden[0].row)
    shifted = [value + spread * (name == largest.feature) for name, value in zip(features, row, strict=True)]
    body = "\n".join(",".join(map(repr, values)) for values in (row, shifted))
    answer = live.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="breast-cancer", Body=body, ContentType="text/csv", Accept="application/json"
    )
    before, after = (line["score"] for line in json.load(answer["Body"])["predictions"])
    assert logit(after) - logit(before) == pytest.approx(largest.effect, rel=1e-3)


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def test_the_histogram_holds_the_hold_out_once(document: Contents) -> None:
    counts = document["profile"]["histogram"]["counts"]
    assert sum(map(sum, counts.values())) == document["evaluation"]["rows"]
    assert set(counts) == {"B", "M"}


def test_the_page_asks_nothing_of_the_network(document: Contents) -> None:
    html = page(document)
    assert re.findall(r'(?:src|href)="([^"]+)"', html.split('<script type="application/json"')[0]) == ["data:,"]
    assert len(html) < 1_000_000


def test_a_text_of_the_data_cannot_become_markup(document: Contents) -> None:
    html = page({**document, "project": "</script><script>alert(1)</script>"})
    assert "<script>alert(1)" not in html


@needed
def test_the_report_has_no_faults_in_a_browser(document: Contents, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(document), encoding="utf-8")
    charts: list[int] = []
    count = "figure svg[role=img]"
    assert faults_of(path.as_uri(), "report", lambda tab: charts.append(tab.locator(count).count())) == []
    assert charts == [10] * 4


@needed
def test_the_report_of_a_failed_run_begins_with_its_cause(live: Deployed, tmp_path: Path) -> None:
    failed = ran(live, "failed.csv", "x")
    answer = typed("report", failed.name, "--out", str(tmp_path), "--json")
    path = Path(answer.document["report"])
    assert path == tmp_path / f"{failed.name}.html"
    headers: list[str] = []
    faults = faults_of(path.as_uri(), "report-failed", lambda tab: headers.append(tab.locator("header").inner_text()))
    assert faults == []
    assert all("Failed" in text and "failed.csv, row 2: 1 values, the header has 32" in text for text in headers)
