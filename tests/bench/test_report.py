import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench import report as module
from bench.figure import Figure
from bench.report import report

FAST = Figure("speed", 3.0, "MB/s", "theirs", 2.0, "ratio >= 1.0", "the disk")
SLOW = Figure("pace", 1.0, "MB/s", "theirs", 2.0, "ratio >= 1.0")
TOLD = Figure("synth", 4.0, "s")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    return tmp_path / "build"


def broken() -> Iterator[Figure]:
    yield TOLD
    raise RuntimeError("it broke")


def written(build: Path) -> dict[str, str]:
    return {record["name"]: record["part"] for record in json.loads((build / "b.json").read_text())}


def test_a_figure_stands_in_the_file_with_all_that_is_known_of_it(build: Path) -> None:
    assert report({"jobs": lambda: iter([FAST])}, "b.json") == 0
    assert json.loads((build / "b.json").read_text()) == [
        {"name": "speed", "value": 3.0, "unit": "MB/s", "baseline": "theirs", "baseline_value": 2.0, "ratio": 1.5,
         "goal": "ratio >= 1.0", "limit": "the disk", "any_size": False, "part": "jobs", "seconds": 0.0}
    ]  # fmt: skip


def test_a_missed_goal_fails_but_at_a_small_size_only_where_it_holds_at_any(build: Path) -> None:
    held = Figure("memory", 2.0, "MB", goal="value < 1", any_size=True)
    codes = [
        report({"jobs": partial(iter, [figure])}, "b.json", small=small)
        for figure, small in ((SLOW, False), (SLOW, True), (held, True), (TOLD, False))
    ]
    assert codes == [1, 0, 1, 0]


def test_a_broken_part_fails_and_keeps_neither_its_figures_nor_the_other_parts_from_the_file(build: Path) -> None:
    assert report({"first": broken, "second": lambda: iter([FAST])}, "b.json", small=True) == 1
    assert written(build) == {"synth": "first", "speed": "second"}


def test_parts_that_were_not_asked_for_keep_their_figures(build: Path) -> None:
    report({"first": lambda: iter([FAST]), "second": lambda: iter([SLOW])}, "b.json")
    report({"second": lambda: iter([TOLD])}, "b.json", whole=False)
    assert written(build) == {"speed": "first", "synth": "second"}
