"""docs/tutorial.md as a reader follows it: the CSV and the commands that it shows, and no edited file."""

import csv
import io
import json
import re
import subprocess
from pathlib import Path

import pytest
from local_aws.cloud import running
from sklearn.datasets import load_wine

from pipeline.config import load
from tests.conftest import ROOT, Deployed, deploy

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
GROWERS = ("Rossi", "Bianchi")
NAMES = [
    *("Alcohol", "Malic acid", "Ash", "Alcalinity of ash", "Magnesium", "Phenols", "Flavanoids", "Other phenols"),
    *("Proanthocyanins", "Colour", "Hue", "OD280/OD315", "Proline", "Soil"),
]


def my_csv() -> str:
    """130 wines, with a soil, and every tenth without ash."""
    wine, out = load_wine(), io.StringIO()
    rows = [
        [
            GROWERS[label],
            *values[:2],
            "" if number % 10 == 9 else values[2],
            *values[3:],
            ("chalk", "sand")[label ^ (number % 5 == 0)],
        ]
        for number, (values, label) in enumerate(zip(wine.data.tolist(), wine.target.tolist(), strict=True))
        if label < 2
    ]
    csv.writer(out, lineterminator="\n").writerows([["grower", *NAMES], *rows])
    return out.getvalue()


def test_a_csv_goes_to_predictions_by_the_commands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.csv").write_text(my_csv())
    first, then = (found.splitlines() for found in re.findall(r"```sh\n(.*?)```", TUTORIAL, re.S))
    with running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        (told,) = typed(first, {"PATH": f"{ROOT / '.venv/bin'}:/usr/bin:/bin"}, tmp_path).values()
        assert told.endswith("next: make run DATA=my.csv\n")
        settings = load(tmp_path / "pipeline.toml").data
        assert (settings.kinds, settings.missing.impute) == ({"Soil": "categorical"}, ("Ash",))
        follow(deploy(cloud, tmp_path / "pipeline.toml", monkeypatch), then, tmp_path)


def typed(lines: list[str], environment: dict[str, str], folder: Path) -> dict[str, str]:
    answers = {}
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        answers[line] = done.stdout
    return answers


def follow(deployed: Deployed, lines: list[str], folder: Path) -> None:
    checked, _, watched, first, second, many, status, report = typed(lines, deployed.environment, folder).values()
    assert checked.startswith("accepted: 130 rows in 1 file(s)")
    assert "succeeded: accepted" in watched
    assert (first, second) == ("prediction: Rossi\n", "prediction: Bianchi\n")
    answers = [row["label"] for row in csv.DictReader(io.StringIO(many))]
    right = [row["grower"] for row in csv.DictReader(io.StringIO(my_csv()))]
    assert sum(map(str.__eq__, answers, right)) >= 120
    assert status.startswith("endpoint my-wine: InService")
    written = dict(line.split(": ", 1) for line in report.splitlines())
    assert Path(written["report"]).stat().st_size > 100_000
    assert json.loads(Path(written["model card"]).read_text("utf-8"))["training_details"]
