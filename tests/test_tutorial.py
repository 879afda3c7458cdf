"""docs/tutorial.md as a stranger follows it: their CSV, the settings it shows, the commands it shows."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from local.cloud import running
from tests.conftest import ROOT, Deployed, deploy

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
GROWERS = ("Rossi", "Bianchi")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.S)
    return str(found)


def edited(original: str, tables: str) -> str:
    """The settings file with each table that is shown in place of the file's own."""
    shown = re.split(r"^(?=\[)", tables, flags=re.M)[1:]
    headers = {part.splitlines()[0].split("#")[0].strip() for part in shown}
    kept = [
        part
        for part in re.split(r"^(?=\[)", original, flags=re.M)
        if part.splitlines() and part.splitlines()[0].split("#")[0].strip() not in headers
    ]
    return "".join([*kept, *shown])


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployed, Path]]:
    """A deployed pipeline of the tutorial's settings, and a folder with the stranger's CSV."""
    folder = tmp_path_factory.mktemp("stranger")
    text = edited((ROOT / "pipeline.toml").read_text(), block("toml"))
    config = folder / "pipeline.toml"
    config.write_text(text)
    features, wine = tomllib.loads(text)["data"]["features"], load_wine()
    rows = [
        [GROWERS[label], *map(repr, map(float, values))]
        for values, label in zip(wine.data, wine.target, strict=True)
        if label < 2
    ]
    (folder / "my.csv").write_text("\n".join(",".join(row) for row in [["grower", *features], *rows]))
    with pytest.MonkeyPatch.context() as patched, running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        yield deploy(cloud, config, folder / "cdk.out", patched), folder


def test_a_strangers_csv_goes_from_file_to_prediction_by_editing_the_settings_alone(
    stranger: tuple[Deployed, Path],
) -> None:
    deployed, folder = stranger
    answers = {}
    for line in block("sh").splitlines():
        done = subprocess.run(
            ["bash", "-c", line], env=deployed.environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        answers[line] = done.stdout
    assert len(answers) == 6
    watched, first, second, status, report = list(answers.values())[1:]
    assert "succeeded: accepted" in watched
    assert (first, second) == ("prediction: Rossi\n", "prediction: Bianchi\n")
    assert status.startswith("endpoint my-wine: InService")
    assert Path(report.removeprefix("report: ").strip()).stat().st_size > 100_000
