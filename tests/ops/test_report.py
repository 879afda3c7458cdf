"""The run report: complete, self-contained, and fit to be looked at."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from ops.report.gather import gather
from playwright.sync_api import Page

from ops import runs
from ops.report.coefficients import coefficients
from ops.report.page import page
from tests.conftest import WDBC, Deployed
from tests.ops.browser import look, needed
from tests.ops.typing import typed

pytestmark = pytest.mark.cloud


def accepted(live: Deployed) -> runs.Run:
    return next(run for run in runs.latest(live.account, 50) if run.outcome == "accepted")


@pytest.fixture(scope="module")
def compared(live: Deployed) -> runs.Run:
    """A run that had a champion to be compared with."""
    header, *rows = WDBC.read_text().splitlines()
    run = live.run("compared.csv", "\n".join([header, *rows[::-1]]).encode())
    live.clear()
    assert run.outcome == "accepted", run
    return run


@pytest.fixture(scope="module")
def document(live: Deployed, compared: runs.Run) -> Any:
    return gather(live.account, compared)


def test_the_report_has_all_that_is_known_of_a_run(live: Deployed, document: Any) -> None:
    assert document["run"].reason.startswith(
        "passes every threshold of the quality gate and is not worse than the champion"
    )
    assert {step.state for step in document["steps"]} >= {"Preprocess", "Train", "Compare", "SmokeTest", "Done"}
    assert {metric["name"]: metric["kept"] for metric in document["metrics"] if metric["rule"]} == {
        "auc": "yes", "accuracy": "yes", "log_loss": "yes",
    }  # fmt: skip
    champion = document["champion"]
    assert champion["run"] != document["run"].name
    assert champion["baseline"]["features"].keys() == document["baseline"]["features"].keys()
    assert document["lineage"]["package status"] == "Approved"
    assert len(document["lineage"]["data, SHA-256"]) == 64
    assert [line["job"] for line in document["cost"]["jobs"]] == sorted(
        ("preprocess", "train", "score", "champion", "compare"),
        key=[line["job"] for line in document["cost"]["jobs"]].index,
    )
    assert document["cost"]["seconds"] > 0


def test_the_coefficients_are_those_that_the_model_answers_with(live: Deployed, document: Any) -> None:
    """Of two rows that differ in one feature, the scores' logits differ by the weight times that difference."""
    artifact, features = document["lineage"]["artifact"], live.account.settings.data.features
    found = {line["feature"]: line["weight"] for line in coefficients(live.account, artifact, features)}
    assert list(found) == list(features)
    largest = document["coefficients"][0]
    spread = document["baseline"]["features"][largest["feature"]]["standard_deviation"]
    assert largest["effect"] == pytest.approx(found[largest["feature"]] * spread)
    row = list(live.account.settings.endpoint.golden[0].row)
    shifted = [value + spread * (name == largest["feature"]) for name, value in zip(features, row, strict=True)]
    body = "\n".join(",".join(map(repr, values)) for values in (row, shifted))
    answer = live.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="breast-cancer", Body=body, ContentType="text/csv", Accept="application/json"
    )
    before, after = (line["score"] for line in json.load(answer["Body"])["predictions"])
    assert logit(after) - logit(before) == pytest.approx(largest["effect"], rel=1e-3)


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def test_the_histogram_holds_the_hold_out_once(document: Any) -> None:
    counts = document["profile"]["histogram"]["counts"]
    assert sum(map(sum, counts.values())) == document["evaluation"]["rows"]
    assert set(counts) == {"B", "M"}


def test_the_page_asks_nothing_of_the_network(document: Any) -> None:
    html = page(document)
    assert re.findall(r'(?:src|href)="([^"]+)"', html.split('<script type="application/json"')[0]) == ["data:,"]
    assert len(html) < 1_000_000


def test_a_text_of_the_data_cannot_become_markup(document: Any) -> None:
    html = page({**document, "project": "</script><script>alert(1)</script>"})
    assert "<script>alert(1)" not in html


@needed
def test_the_report_looks_right_to_people_and_to_axe(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(document), encoding="utf-8")
    charts: list[int] = []
    seen = look(path.as_uri(), "report", lambda tab: charts.append(tab.locator("figure svg[role=img]").count()))
    assert seen.nothing, seen
    assert charts == [10] * 4


@needed
def test_the_report_of_a_failed_run_begins_with_its_cause(live: Deployed, tmp_path: Path) -> None:
    header = WDBC.read_text().splitlines()[0]
    failed = live.run("failed.csv", f"{header}\nx\n".encode())
    live.clear()
    answer = typed("report", failed.name, "--out", str(tmp_path), "--json")
    path = Path(answer.document["report"])
    assert path == tmp_path / f"{failed.name}.html"
    said: list[str] = []

    def read(tab: Page) -> None:
        said.append(tab.locator("header").inner_text())

    seen = look(path.as_uri(), "report-failed", read)
    assert seen.nothing, seen
    assert all("Failed" in text and "failed.csv, row 2: 1 values, the header has 32" in text for text in said)
