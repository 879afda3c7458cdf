"""From a file to a prediction by two commands, `ops init` and `make run`, with nothing edited in between."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_aws.cloud import Cloud, running

from pipeline.config import load
from tests.conftest import ROOT, deploy
from tests.ops.typing import typed
from tests.tables import STRANGE, TABLES

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(900)]
MADE = {**TABLES, **STRANGE}


@pytest.fixture(scope="module")
def bootstrapped() -> Iterator[tuple[Cloud, list[str]]]:
    """A local AWS for the tables of a worker, and the names of those deployed to it."""
    with running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        yield cloud, []


@pytest.mark.parametrize("name", MADE)
def test_a_file_goes_to_a_prediction_with_nothing_edited(
    name: str, bootstrapped: tuple[Cloud, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, (cloud, before), config = MADE[name](), bootstrapped, tmp_path / "pipeline.toml"
    file = tmp_path / f"{name}.csv"
    file.write_bytes(made.text)
    said("init", str(file), "--target", made.target, "--out", str(config))
    data = load(config).data
    assert (data.predictor_type, load(config).endpoint.golden) == (made.type, ())

    # What `make run` does.
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    deployed = deploy(cloud, config, monkeypatch, bootstrapped=bool(before))
    before.append(name)
    assert said("upload", str(file)).startswith("uploaded s3://")
    watched = said("watch")
    assert watched.splitlines()[-1].startswith("succeeded: accepted"), watched
    word, answer = said("predict").strip().split(": ")
    assert word == "prediction"
    if data.classes:
        assert answer in data.classes
    else:
        float(answer)
    # Its model servers have done their work.
    deployed.account.sagemaker.delete_endpoint(EndpointName=deployed.account.outputs["Endpoint"])


def said(*command: str) -> str:
    answer = typed(*command)
    assert answer.code == 0, answer.out + answer.err
    return answer.out


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of the repository, with the packages that this one has installed."""
    copy = tmp_path / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0")[:-1]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for folder in (".venv", "node_modules"):
        (copy / folder).mkdir()
        for path in (ROOT / folder).iterdir():
            if path.name != ".installed":
                (copy / folder / path.name).symlink_to(path.resolve())
        (copy / folder / ".installed").touch()
    return copy


def test_two_commands_are_all_that_is_typed(checkout: Path, tmp_path: Path) -> None:
    file = tmp_path / "my fish.csv"
    file.write_bytes(STRANGE["semicolons"]().text)
    path = f"{checkout / '.venv/bin'}:{os.environ['PATH']}"
    paths = f"{checkout}:{checkout / 'local'}"  # the packages are installed from the repository that was copied
    environment = {**os.environ, "PATH": path, "PYTHONPATH": paths}
    for name in ("PIPELINE_CONFIG", "STAGE", "DATA", "MAKEFLAGS", "MAKELEVEL", "PORT"):
        environment.pop(name, None)
    first = f"ops init '{file}' --target Art"
    last = said_by_shell(first, checkout, environment).splitlines()[-1]
    assert last == f"next: make run DATA='{file}'"
    told = said_by_shell(last.removeprefix("next: "), checkout, environment)
    assert told.splitlines()[-1] in ("prediction: Hecht", "prediction: Barsch")


def said_by_shell(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
