"""docs/tutorial.md as a reader follows it: the CSV, the settings and the commands that it shows."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from local_aws.cloud import running
from sklearn.datasets import load_wine

from tests.conftest import ROOT, Deployed, deploy

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
GROWERS = ("Rossi", "Bianchi")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.S)
    return str(found)


def edited(original: str, tables: str) -> str:
    """The settings file with each table that is shown in place of the file's own."""
    shown, parts = (re.split(r"^(?=\[)", text, flags=re.M)[1:] for text in (tables, original))
    replaced = {part.partition("]")[0] for part in shown}
    return "".join([*(part for part in parts if part.partition("]")[0] not in replaced), *shown])


def test_a_new_csv_needs_only_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(edited((ROOT / "pipeline.toml").read_text(), block("toml")))
    header, wine = ["grower", *tomllib.loads(config.read_text())["data"]["features"]], load_wine()
    rows = [[GROWERS[label], *map(str, row)] for row, label in zip(wine.data, wine.target, strict=True) if label < 2]
    (tmp_path / "my.csv").write_text("\n".join(",".join(row) for row in [header, *rows]))
    with running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        follow(deploy(cloud, config, tmp_path / "cdk.out", monkeypatch), tmp_path)


def follow(deployed: Deployed, folder: Path) -> None:
    answers = {}
    for line in block("sh").splitlines():
        done = subprocess.run(
            ["bash", "-c", line], env=deployed.environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        answers[line] = done.stdout
    _, watched, first, second, status, report = answers.values()
    assert "succeeded: accepted" in watched
    assert (first, second) == ("prediction: Rossi\n", "prediction: Bianchi\n")
    assert status.startswith("endpoint my-wine: InService")
    assert Path(report.removeprefix("report: ").strip()).stat().st_size > 100_000
