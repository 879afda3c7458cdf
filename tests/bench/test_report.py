import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from bench import report as module
from bench.figures import Figure, Measurements, Point
from bench.machine import Machine
from bench.report import report

MACHINE = Machine("Some Processor", 2, 8.3, 400, 20_000, 500)
FAST = Figure("speed", 3.0, "MB/s", "theirs", 2.0, "ratio >= 1.0", "the disk", 4.0, 0.1)
SLOW = Figure("pace", 1.0, "MB/s", "theirs", 2.0, "ratio >= 1.0")
NO_GOAL = Figure("synth", 4.0, "s")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    return tmp_path / "build"


def failing() -> Iterator[Figure]:
    yield NO_GOAL
    raise RuntimeError("it failed")


def written(build: Path) -> dict[str, str]:
    return {figure.name: figure.part for figure in Measurements.load(build / "b.json").figures}


def test_the_file_has_all_fields_of_a_run_and_a_figure(build: Path) -> None:
    point = Point(10, "train", 1.0, 2.0, 3.0)
    assert report(MACHINE, {"jobs": lambda: iter([FAST, point])}, "b.json") == 0
    document = json.loads((build / "b.json").read_text())
    took = document["figures"][0]["seconds"]
    figure = {"name": "speed", "value": 3.0, "unit": "MB/s", "goal": "ratio >= 1.0", "spread": 0.1, "varies": ""}
    baseline = {"baseline": "theirs", "baseline_value": 2.0, "ratio": 1.5, "limit": "the disk", "limit_value": 4.0}
    record = {**figure, **baseline, "any_size": False, "part": "jobs", "seconds": took}
    run = {"run": document["run"], "commit": "", "machine": vars(MACHINE), "failed": []}
    assert document == {**run, "figures": [record], "growth": [vars(point)]}
    assert datetime.fromisoformat(document["run"])


def test_a_missed_goal_fails_but_at_a_small_size_only_if_it_applies_at_any(build: Path) -> None:
    any_size = Figure("memory", 2.0, "MB", goal="value < 1", any_size=True)
    codes = [
        report(MACHINE, {"jobs": partial(iter, [figure])}, "b.json", small=small)
        for figure, small in ((SLOW, False), (SLOW, True), (any_size, True), (NO_GOAL, False))
    ]
    assert codes == [1, 0, 1, 0]


def test_a_failed_part_fails_and_the_file_has_its_figures_and_the_other_parts(build: Path) -> None:
    assert report(MACHINE, {"first": failing, "second": lambda: iter([FAST])}, "b.json", small=True) == 1
    assert written(build) == {"synth": "first", "speed": "second"}
    assert Measurements.load(build / "b.json").failed == ["first"]


def test_a_file_has_figures_of_one_run_alone(build: Path) -> None:
    report(MACHINE, {"first": lambda: iter([FAST]), "second": lambda: iter([SLOW])}, "b.json")
    report(MACHINE, {"second": lambda: iter([NO_GOAL])}, "b.json")
    assert written(build) == {"synth": "second"}
