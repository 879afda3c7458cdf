import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench import report as module
from bench.figures import Figure
from bench.report import report

FAST = Figure("speed", 3.0, "MB/s", "theirs", 2.0, "ratio >= 1.0", "the disk")
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
    return {record["name"]: record["part"] for record in json.loads((build / "b.json").read_text())}


def test_the_file_has_all_fields_of_a_figure(build: Path) -> None:
    assert report({"jobs": lambda: iter([FAST])}, "b.json") == 0
    (record,) = json.loads((build / "b.json").read_text())
    figure = {"name": "speed", "value": 3.0, "unit": "MB/s", "goal": "ratio >= 1.0", "limit": "the disk"}
    baseline = {"baseline": "theirs", "baseline_value": 2.0, "ratio": 1.5}
    assert record == {**figure, **baseline, "any_size": False, "part": "jobs", "seconds": 0.0}


def test_a_missed_goal_fails_but_at_a_small_size_only_if_it_applies_at_any(build: Path) -> None:
    any_size = Figure("memory", 2.0, "MB", goal="value < 1", any_size=True)
    codes = [
        report({"jobs": partial(iter, [figure])}, "b.json", small=small)
        for figure, small in ((SLOW, False), (SLOW, True), (any_size, True), (NO_GOAL, False))
    ]
    assert codes == [1, 0, 1, 0]


def test_a_failed_part_fails_and_the_file_has_its_figures_and_the_other_parts(build: Path) -> None:
    assert report({"first": failing, "second": lambda: iter([FAST])}, "b.json", small=True) == 1
    assert written(build) == {"synth": "first", "speed": "second"}


def test_parts_that_do_not_run_keep_their_figures(build: Path) -> None:
    report({"first": lambda: iter([FAST]), "second": lambda: iter([SLOW])}, "b.json")
    report({"second": lambda: iter([NO_GOAL])}, "b.json", whole=False)
    assert written(build) == {"speed": "first", "synth": "second"}
