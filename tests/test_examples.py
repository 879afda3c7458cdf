"""The examples of the other predictor types, end to end: deployed beside the main one, trained, gated, asked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ops import predict, runs
from pipeline.config import load
from tests.conftest import ROOT, Deployed, deploy
from tests.ops.test_drift import checked
from tests.ops.typing import typed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

WINE = {"accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "log_loss"}
DIABETES = {"rmse", "mae", "mse", "r2"}
METRICS = {
    "penguins": ("multiclass_classification_metrics", WINE),
    "wine": ("multiclass_classification_metrics", WINE),
    "diabetes": ("regression_metrics", DIABETES),
}


@dataclass(frozen=True)
class Example:
    name: str
    deployed: Deployed
    run: runs.Run


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.full) for name in METRICS])
def example(
    request: pytest.FixtureRequest, deployed: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Example]:
    """Its stack on the same local AWS, after its first run."""
    name = request.param
    with pytest.MonkeyPatch.context() as patched:
        config = ROOT / "examples" / name / "pipeline.toml"
        patched.setenv("PIPELINE_CONFIG", str(config))
        stack = deploy(deployed.cloud, config, patched, bootstrapped=True)
        yield Example(name, stack, stack.run(f"{name}.csv", csv(name)))


def csv(name: str) -> bytes:
    return (ROOT / "examples" / name / f"{name}.csv").read_bytes()


def test_it_goes_live_and_answers_its_golden_rows(example: Example) -> None:
    assert (example.run.status, example.run.outcome) == ("SUCCEEDED", "accepted"), example.run
    account = example.deployed.account
    for golden in account.settings.endpoint.golden:
        answer = predict.label_of(account, predict.Example(",".join(map(repr, golden.row))))
        if golden.label is None:
            assert float(answer) == pytest.approx(golden.value, abs=golden.tolerance)
        else:
            assert answer == golden.label


def test_init_writes_the_settings_of_the_penguins(tmp_path: Path) -> None:
    """So what follows of them here needs the two commands alone."""
    folder, out = ROOT / "examples" / "penguins", tmp_path / "pipeline.toml"
    assert typed("init", str(folder / "penguins.csv"), "--target", "species", "--out", str(out)).code == 0
    assert load(out) == load(folder / "pipeline.toml")


def test_a_file_with_categories_and_gaps_is_predicted_as_it_is(example: Example) -> None:
    if example.name == "penguins":
        account, lines = example.deployed.account, csv("penguins").decode().splitlines()
        assert predict.label_of(account, predict.example(account)) == "Adelie"
        answers = predict.predict_all(account, predict.rows_of(lines, account.settings.data))
        right = [line.split(",")[0] for line in lines[1:]]
        assert sum(answer["label"] == label for answer, label in zip(answers, right, strict=True)) > 330


@pytest.mark.full
def test_the_commands_show_the_levels_and_the_missing_values_of_a_file_with_categories(
    example: Example, tmp_path: Path
) -> None:
    if example.name == "penguins":
        file = ROOT / "examples" / "penguins" / "penguins.csv"
        rows = len(file.read_text().splitlines()) - 1
        assert len(typed("predict", "--file", str(file)).out.splitlines()) == 1 + rows
        other = tmp_path / "other.csv"
        header, first = file.read_text().splitlines()[:2]
        other.write_text("\n".join([header, *[first.replace("Torgersen", "Elsewhere")] * rows]))
        typed("predict", "--file", str(other))
        # The rows of the file were posted twice, and those with another island once.
        drift = checked(lambda found: found.get("features", {}).get("island", {}).get("out_of_range", 0) > 0.3)
        island = drift.document["details"]["features"]["island"]
        assert (drift.document["verdict"], drift.code) == ("drift", 3)
        assert island["counts"].keys() == {"Biscoe", "Dream", "Torgersen"}
        assert island["missing"] == 0.0
        assert any(breach.startswith("island: ") for breach in drift.document["details"]["breaches"])
        report = json.loads(typed("report", "--no-open", "--out", str(tmp_path), "--json").out)["report"]
        page = Path(report).read_text("utf-8")
        assert all(
            text in page for text in ("island=Biscoe", "sex (missing)", '"Torgersen": 52', "bill_depth_mm (missing)")
        )


def test_its_evaluation_has_the_metrics_of_its_type(example: Example) -> None:
    document = example.deployed.evaluation(example.run)
    section, names = METRICS[example.name]
    metrics = document[section]
    assert {name for name, metric in metrics.items() if "value" in metric} == names
    if example.name == "wine":
        cells = metrics["confusion_matrix"]
        assert list(cells) == ["0", "1", "2"]
        right = sum(cells[number][number] for number in cells)
        assert right / document["rows"] == pytest.approx(metrics["accuracy"]["value"])
    reason = "passes every threshold of the quality gate; there is no champion"
    assert document["decision"] == {"accepted": True, "status": "Approved", "reason": reason}


@pytest.mark.full
def test_its_gate_keeps_a_worse_model_away(example: Example) -> None:
    deployed = example.deployed
    before = deployed.live_config()
    run = deployed.run("mixed-up.csv", mixed_up(csv(example.name), deployed.account.settings.data.target))
    assert (run.status, run.outcome) == ("SUCCEEDED", "rejected"), run
    assert deployed.evaluation(run)["decision"]["accepted"] is False
    assert deployed.live_config() == before


def mixed_up(text: bytes, target: str) -> bytes:
    """The same rows with each other's targets."""
    names, *rows = (line.split(",") for line in text.decode().splitlines())
    column = names.index(target)
    targets = np.random.default_rng(0).permutation([row[column] for row in rows])
    for row, value in zip(rows, targets, strict=True):
        row[column] = value
    return "\n".join(map(",".join, [names, *rows])).encode()
