"""The preprocessing beside polars, pandas and pyarrow, which do the same checks, split and statistics."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import data
from bench.figure import Figure
from bench.process import PROJECT, YARDSTICKS, BenchError, Program, Run, in_turn, least_disturbed, run, start
from pipeline.config import load

OTHERS = {"polars": "polars, streaming", "pandas": "pandas", "arrow": "pyarrow"}
GOALS = {
    "polars": ("ratio >= 1.0", ""),
    "pandas": ("ratio >= 2", "ratio <= 0.25"),
    "arrow": ("", ""),
}
"""Of throughput and of peak memory."""
FILES = 4
JOBS = str(PROJECT / "pipeline/jobs")
SPEED = "parsing and writing of numbers as text, two cores"


def measure(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """MB of CSV a second and peak memory; pandas, which takes its time, only once.

    Args:
        folder: For the generated data; emptied afterwards.
        rows: In all files together.
        repeats: Of each program.
    """
    root = folder / "preprocess"
    try:
        megabytes = sum(data.write_raw(root / f"raw/{n}.csv", rows // FILES, seed=n) for n in range(FILES)) / 1e6
        ours = ("preprocess", "--input", str(root / "raw"))
        others = {name: _other(root, name) for name in OTHERS}
        runs = in_turn(repeats, {"ours": lambda: job(root, *ours, output="ours").result(), **others}, once={"pandas"})
        kept = {name: _rows(root, name, of[-1]) for name, of in runs.items()}
        if len(set(kept.values())) > 1:
            raise BenchError(f"not the same rows were kept: {kept}")
        best = {name: least_disturbed(of) for name, of in runs.items()}
        mine, shown = best.pop("ours"), f"preprocess {rows:,} rows"
        for name, other in best.items():
            speed, memory = GOALS[name]
            yield Figure(shown, megabytes / mine.seconds, "MB/s", OTHERS[name], megabytes / other.seconds, speed, SPEED)
            yield Figure(f"{shown}, peak memory", mine.memory, "MB", OTHERS[name], other.memory, memory, "its buffers")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def job(root: Path, command: str, *arguments: str, output: str, core: int | None = None) -> Program:
    """Start one of the jobs' commands on `root`/settings.json; what was in its output folder is gone."""
    shutil.rmtree(root / output, ignore_errors=True)
    (root / "settings.json").write_text(load(PROJECT / "bench/pipeline.toml").to_json())
    shared = ("--settings", str(root / "settings.json"), "--output", str(root / output))
    return start(sys.executable, JOBS, command, *arguments, *shared, core=core)


def _other(root: Path, name: str) -> Callable[[], Run]:
    def once() -> Run:
        shutil.rmtree(root / name, ignore_errors=True)
        return run(f"bench.yardsticks.preprocess_{name}", str(root / "raw"), str(root / name), python=YARDSTICKS)

    return once


def _rows(root: Path, name: str, last: Run) -> int:
    """How many different rows a program kept."""
    if name != "ours":
        return int(last.output.split()[-1])
    rows = json.loads((root / "ours/baseline/baseline.json").read_text())["rows"]
    return int(rows["read"] - rows["duplicates_dropped"])
