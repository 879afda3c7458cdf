"""The run report: complete, self-contained, and without faults in a browser."""

import json
import math
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_aws.cloud import Cloud
from local_aws.linear_learner.artifact import Model, write

from ops.account import Account
from ops.report.coefficients import coefficients, features_of
from ops.report.page import Contents, contents, page
from ops.runs import Run
from pipeline.jobs.preprocess.encoding import write_model
from pipeline.jobs.shared.encoder import Encoder, Feature
from tests.conftest import SHIPPED, Deployed
from tests.ops.browser import WINDOWS, faults_of, needed
from tests.ops.typing import ROWS, ran, typed

pytestmark = pytest.mark.cloud
KINDS: dict[str, Any] = json.loads(Path(__file__).with_name("kinds.json").read_text("utf-8"))


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
    assert states >= {"Preprocess", "Train", "Evaluate", "Deploy", "Deploy/SmokeTest", "Finish"}
    passed = {metric["name"]: metric["passed"] for metric in document["metrics"] if metric["rule"]}
    assert passed == {"auc": "yes", "accuracy": "yes", "log_loss": "yes"}
    assert document["champion"] not in ("", document["run"].name)
    assert document["champion_baseline"]["features"].keys() == document["baseline"]["features"].keys()
    assert document["package"]["ModelApprovalStatus"] == "Approved"
    assert len(document["run"].request["data"]["fingerprint"]) == 64
    card = document["card"]
    assert card["intended_uses"]["risk_rating"] == "High"
    (evaluated,) = card["evaluation_details"]
    assert evaluated["evaluation_observation"] == document["run"].why
    assert [group["name"] for group in evaluated["metric_groups"]] == ["binary_classification_metrics", "weights"]
    example = document["example"]
    effects = [example["base"], *(each["effect"] for each in example["contributions"]), example["rest"]]
    assert (example["scale"], sum(effects)) == ("log odds", pytest.approx(example["score"]))
    jobs = [job for job, *_ in document["cost"]]
    assert sorted(jobs) == ["all", "champion", "evaluate", "preprocess", "score", "train"]
    assert document["cost"][-1][2] > 0


def test_the_coefficients_are_those_that_the_model_answers_with(live: Deployed, document: Contents) -> None:
    """Of two rows that differ in one feature, the scores' logits differ by the weight times that difference."""
    artifact, features = document["artifact"], live.account.settings.data.features
    numbers = [Feature(name, "numeric") for name in features]
    weights = {line.feature: line.weight for line in coefficients(live.account, artifact, numbers, {})}
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
    assert charts == [10] * len(WINDOWS)


@pytest.fixture
def kinds() -> Contents:
    """The contents of the report of a run on a table with categories and missing values."""
    at = datetime(2026, 7, 31, tzinfo=UTC)
    run = Run("arn:r", "r", "SUCCEEDED", "upload", at, at, "accepted", "", "m", "", [], {})
    return {
        **{
            "steps": [],
            "path": [["Train", 1, 300, 12.5], ["until the new model serves", 1, 300, 12.5]],
            "profile": {},
            "package": {},
            "training": {},
        },
        **KINDS,
        **{"project": "titanic", "run": run, "classes": ("died", "survived"), "margin": 0.01, "psi": 0.2},
        **{"champion": "c", "artifact": "", "cost": [], "tuning": {}},
        "preprocessed": {"run": "q", "time": "2026-07-30T23:59:01.5+00:00", "files": "f"},
        "example": {
            **{"scale": "log odds", "score": 0.75, "base": -0.5, "rest": 0.25},
            "contributions": [
                {"feature": "age", "value": None, "effect": 1.5},
                {"feature": "sex", "value": "male", "effect": -0.5},
            ],
        },
        "card": {
            "intended_uses": {"risk_rating": "Low"},
            "additional_information": {"ethical_considerations": "none", "custom_details": {"rows": "read 905"}},
        },
    }


TABLES = """[...document.querySelectorAll("table")].map((table) =>
  [table.caption.textContent, ...[...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent).join(" | "))])"""
FIGURES = '[...document.querySelectorAll("figure:has(svg)")].map((figure) => figure.dataset.chart)'


@needed
def test_the_report_of_a_table_with_categories_has_its_rows_levels_and_drift(kinds: Contents, tmp_path: Path) -> None:
    path, shown = tmp_path / "kinds.html", []
    path.write_text(page(kinds), encoding="utf-8")
    assert (
        faults_of(path.as_uri(), "report-kinds", lambda tab: shown.append(tab.evaluate(f"[{TABLES}, {FIGURES}]"))) == []
    )
    assert shown == [shown[0]] * len(WINDOWS)
    tables, figures = shown[0]
    assert figures == ["timeline", "metrics", "coefficients", "features", "levels", "drift"]
    assert {caption: rows for caption, *rows in tables} == {
        "Critical path, in seconds: what the run waited for, one phase after another": [
            *("phase | job starts | start-up | work", "Train | 1 | 300 | 12.5"),
            "until the new model serves | 1 | 300 | 12.5",
        ],
        "Metrics": ["metric | value | interval | gate | passed", "pr_auc | 0.8 | 0.7 to 0.9 | at least 0.5 | yes"],
        "Largest contributions, against the mean of each feature": [
            *("feature | value | effect", "score of the means |  | -0.5", "age | no value | 1.5", "sex | male | -0.5"),
            *("all other features |  | 0.25", "score |  | 0.75"),
        ],
        "Rows": [
            *("what | rows", "read | 905", "refused | 1", "in another file too | 10", "replaced by a later upload | 3"),
            *("contradicting another's label | 7", "train | 620", "validation | 135", "holdout | 136"),
        ],
        "Rows by class and part": [
            "class | train | validation | holdout | all",
            "died | 380 | 85 | 84 | 549",
            "survived | 240 | 50 | 52 | 342",
        ],
        "Features": [
            "feature | missing | values",
            "age | 20 % | 0.42 to 80",
            "sex | none | male 577, female 314",
            "deck | 77.22 % | C 59, B 47, D 33, E 32, A 15 and 2 more",
            "alone | none | true 537, false 354",
        ],
        "Drift by feature": [
            "feature | PSI | KS | missing | out of range",
            "sex | 0.31 | - | 0 | 0.04",
            "deck | 0.02 | - | 0.776 | 0",
            "age | 0.01 | 0.02 | 0.19 | 0",
            "alone | 0 | - | 0 | 0",
        ],
        "What the model is for": [
            "what | text",
            "risk rating | Low",
            "ethical considerations | none",
            "rows | read 905",
        ],
        "Origin of the model": [
            *("what | value", "execution | arn:r", "started by | upload"),
            *("preprocessed by | run q on 2026-07-30, which has the quarantine", "endpoint config | m"),
        ],
        "Instance seconds": ["job | instances | seconds | dollars"],
    }


def test_inputs_of_a_model_with_levels_called_other_and_missing_keep_their_own_names_and_spreads(
    empty: Cloud, tmp_path: Path
) -> None:
    levels = ("blue", "missing", "other")
    encoder = Encoder(
        (
            Feature("age", "numeric", imputed=True, indicator=True),
            Feature("colour", "categorical", imputed=True, levels=levels, other=True, indicator=True),
            Feature("alone", "boolean"),
        )
    )
    write_model(encoder, tmp_path / "encoder")
    weights = np.array([[7.0], [-6.0], [5.0], [-4.0], [3.0], [2.0], [1.0], [0.5]], np.float32)
    model = Model(weights, np.zeros(1, np.float32), "regressor", "squared_loss", None, {})
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(write(model, tmp_path / "model"), "model_algo-1")
    account = Account.of(str(SHIPPED))
    account.s3.create_bucket(Bucket="models")
    for name in ("encoder/model.tar.gz", "model.tar.gz"):
        account.s3.put_object(Bucket="models", Key=name, Body=(tmp_path / name).read_bytes())
    features = features_of(account, "s3://models/encoder/model.tar.gz", ())
    assert features == encoder.features
    baseline = {
        "features": {
            "age": {"standard_deviation": 14.5, "missing": 0.2},
            "colour": {"levels": {"blue": 30, "missing": 20, "other": 10, "rare": 20}, "missing": 0.2},
            "alone": {"levels": {"false": 75, "true": 25}, "missing": 0},
        }
    }
    found = {
        line.feature: (line.weight, line.effect)
        for line in coefficients(account, "s3://models/model.tar.gz", features, baseline)
    }
    shares = {
        **{"age (missing)": 0.2, "colour=blue": 0.3, "colour=missing": 0.2, "colour=other": 0.1},
        **{"colour (other)": 0.2, "colour (missing)": 0.2, "alone": 0.25},
    }
    expected = {"age": 14.5, **{name: math.sqrt(share * (1 - share)) for name, share in shares.items()}}
    effects = {name: weight * each for (name, each), weight in zip(expected.items(), weights[:, 0], strict=True)}
    assert {name: effect for name, (_, effect) in found.items()} == pytest.approx(effects)
    assert [found[name][0] for name in expected] == weights[:, 0].tolist()


DRAWN = """[...document.querySelectorAll("figure:has(svg)")].map((figure) => [figure.dataset.chart,
  [...figure.querySelectorAll("circle, path, rect")].map((each) => each.outerHTML)])"""


@needed
def test_classes_named_by_numbers_are_drawn_as_classes_named_by_words(kinds: Contents, tmp_path: Path) -> None:
    curve = [0.0, 0.5, 1.0]
    metrics = {
        "receiver_operating_characteristic_curve": {"false_positive_rates": curve, "true_positive_rates": curve},
        "precision_recall_curve": {"precisions": curve[::-1], "recalls": curve},
    }
    evaluation = {**kinds["evaluation"], "binary_classification_metrics": metrics}
    bars = [list(range(40, 0, -1)), list(range(40))]

    def drawn(classes: tuple[str, str], profile: dict[str, Any]) -> list[Any]:
        path, found = tmp_path / "classes.html", list[Any]()
        text = page({**kinds, "evaluation": evaluation, "classes": classes, "profile": profile})
        path.write_text(text, encoding="utf-8")
        assert faults_of(path.as_uri(), "report-classes", lambda tab: found.append(tab.evaluate(DRAWN))) == []
        return found

    def histogram(classes: tuple[str, str]) -> dict[str, Any]:
        counts = dict(zip(classes, bars, strict=True))
        return {"histogram": {"edges": [edge / 40 for edge in range(41)], "counts": counts}}

    words, digits = ("died", "survived"), ("2", "1")
    by_words, by_digits = drawn(words, histogram(words)), drawn(digits, histogram(digits))
    names = ["timeline", "metrics", "roc", "pr", "scores", "calibration", "thresholds", "coefficients"]
    names += ["features", "levels", "drift"]
    assert [name for name, _ in by_words[0]] == names
    answers = ("calibration", "thresholds")
    for each, other in zip(by_words, by_digits, strict=True):
        assert [marks for name, marks in each if name in answers] == [marks for name, marks in other if name in answers]
    without = [name for name in names if name not in ("scores", *answers)]
    assert [[name for name, _ in figures] for figures in drawn(words, {})] == [without] * len(WINDOWS)


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
