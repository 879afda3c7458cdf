"""The preprocessing beside polars, pandas and pyarrow, with categories beside numbers, and on two instances."""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from local_aws.linear_learner import recordio
from numpy.typing import NDArray
from pyarrow import feather
from pyarrow import json as pa_json

from bench import data, machine
from bench.columns import FEATURES, NAMES, STATISTICS, WORDS
from bench.figures import Figure
from bench.process import (
    BASELINES,
    PROJECT,
    BenchError,
    Program,
    Run,
    in_turn,
    least_disturbed,
    run,
    spread,
    start,
    timed,
)
from pipeline.config import load
from pipeline.jobs.preprocess.records import mixed

GOALS = {
    "polars": ("polars, streaming", "ratio >= 1.5", ""),
    "pandas": ("pandas", "ratio >= 2", "ratio <= 0.25"),
    "arrow": ("pyarrow", "", ""),
}
"""The name of each baseline, and the goals of throughput and of peak memory beside it."""
PARSE = "parsing of CSV, all cores"
VARIES = "the baseline keeps freed memory"
FILES, INSTANCE_FILES = 4, 8
HOSTS = ["algo-1", "algo-2"]
SAMPLED = (256 << 20) // 8 // (8 * (3 + FEATURES))
"""So many rows fit into the memory for the sample of the percentiles (pipeline/jobs/preprocess/baseline.py)."""
COMPARED = (256 << 20) // 16 // 24
"""Contradictions are counted among at most so many rows (pipeline/jobs/preprocess/contradictions.py)."""


def measure(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """MB of CSV per second and peak memory, beside programs that do the same work.

    Each checks every value, keeps equal rows once by a hash, orders and splits the rows by it, counts contradictions
    among the features of a sample, and computes statistics, percentiles of a sample of the same size. Each writes
    training's files as 32-bit floats, ours as recordio-protobuf, the others as Arrow files without compression, and the
    hold-out as JSON. The hashes differ, so a row may be in another part; all parts together are compared.

    The files have `rows` rows together; each program runs `repeats` times.

    Raises BenchError: the programs wrote different rows or found different statistics.
    """
    root, parse_speeds = folder / "preprocess", list[float]()

    def ours() -> Run:
        parse_speeds.append(machine.parse_speed(root))
        return _run_job(root, "preprocess", "--input", str(root / "raw"), output="ours")

    try:
        megabytes = sum(data.write_raw(root / f"raw/{n}.csv", rows // FILES, seed=n) for n in range(FILES)) / 1e6
        baselines: dict[str, Callable[[], Run]] = {name: partial(_run_baseline, root, name, rows) for name in GOALS}
        runs = in_turn(repeats, {"ours": ours, **baselines})
        statistics = json.loads((root / "ours/baseline/baseline.json").read_text())["features"]
        written = _written(root / "ours")
        for name in GOALS:
            if (found := _written(root / name)) != written:
                raise BenchError(f"{name} wrote other rows: {found}, ours {written}")
            _compare(name, json.loads((root / name / "baseline.json").read_text()), statistics)
        mine, shown = least_disturbed(runs["ours"]), f"preprocess {rows:,} rows"
        speed, turns = megabytes / mine.seconds, _seconds(runs["ours"])
        parse = parse_speeds[turns.index(mine.seconds)]  # just before that turn
        title, goal = "pyarrow, parsing alone", "ratio >= 0.4"
        yield Figure(shown, speed, "MB/s", title, parse, goal, PARSE, parse, spread(turns))
        for name, (title, goal, memory) in GOALS.items():
            other, apart = least_disturbed(runs[name]), spread(_seconds(runs[name]), turns)
            yield Figure(shown, speed, "MB/s", title, megabytes / other.seconds, goal, PARSE, parse, apart)
            apart = spread(_memory(runs["ours"]), _memory(runs[name]))
            size = f"{shown}, peak memory"
            yield Figure(size, mine.memory, "MB", title, other.memory, memory, "its buffers", None, apart, VARIES)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def measure_categories(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """MB of CSV per second and peak memory of a table with words, beside that of numbers alone.

    The arguments are those of `measure`.
    """
    root, tables = folder / "categories", {"words": WORDS, "numbers": 0}
    try:
        megabytes = {
            table: sum(data.write_raw(root / table / f"{n}.csv", rows // FILES, n, words) for n in range(FILES)) / 1e6
            for table, words in tables.items()
        }
        runs = in_turn(
            repeats,
            {
                table: partial(_run_job, root, "preprocess", "--input", str(root / table), output="out", words=words)
                for table, words in tables.items()
            },
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)
    words, numbers = (least_disturbed(runs[table]) for table in tables)
    name, other = f"preprocess {rows:,} rows, {WORDS} of {FEATURES} columns categorical", "the same with numbers alone"
    speed, its_speed = megabytes["words"] / words.seconds, megabytes["numbers"] / numbers.seconds
    parse, apart = machine.parse_speed(folder), spread(*(_seconds(runs[table]) for table in tables))
    yield Figure(name, speed, "MB/s", other, its_speed, "ratio >= 0.6", PARSE, parse, apart)
    size, apart = f"{name}, peak memory", spread(*(_memory(runs[table]) for table in tables))
    yield Figure(size, words.memory, "MB", other, numbers.memory, "ratio <= 1.25", "its buffers", spread=apart)


def measure_instances(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """Rows per second of two instances with one core each, merge included, beside one instance (Linux only).

    Raises BenchError if the two instances write other rows than one. The arguments are those of `measure`.
    """
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(cores) < len(HOSTS):
        return
    root = folder / "instances"
    alone = partial(_run_job, root, "preprocess", "--input", str(root / "raw"), output="alone", core=cores[0])
    try:
        for number in range(INSTANCE_FILES):
            file = root / f"raw/{number}.csv"
            data.write_raw(file, rows // INSTANCE_FILES, seed=number)
            share = root / HOSTS[number % len(HOSTS)] / file.name
            share.parent.mkdir(exist_ok=True)
            share.hardlink_to(file)
        calls = {"one": lambda: timed(alone), "two": lambda: timed(lambda: _run_instances(root, cores))}
        turns = in_turn(repeats, calls)
        each = machine.parse_speed(root) * 1e6 * rows / sum(file.stat().st_size for file in (root / "raw").iterdir())
        if _content(root / "alone") != _content(root / "run"):
            raise BenchError("two instances wrote other rows than one")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    one, two = (rows / min(seconds) for seconds in turns.values())
    name, baseline = f"preprocess {rows:,} rows, two instances of a core each", "one instance on one core"
    yield Figure(name, two, "rows/s", baseline, one, "ratio >= 1.6", PARSE, each, spread(turns["one"], turns["two"]))


def _start_job(
    root: Path, command: str, *arguments: str, output: str, core: int | None = None, words: int = 0
) -> Program:
    """Start a command of the jobs with `root`/settings.json; empties its output folder before.

    The last `words` features are categorical.
    """
    shutil.rmtree(root / output, ignore_errors=True)
    settings = json.loads(load(PROJECT / "bench/pipeline.toml").to_json())
    settings["data"]["kinds"] = dict.fromkeys(NAMES[FEATURES - words :], "categorical")
    (root / "settings.json").write_text(json.dumps(settings))
    common = ("--settings", str(root / "settings.json"), "--output", str(root / output))
    return start(sys.executable, "-m", "pipeline.jobs", command, *arguments, *common, core=core)


def _seconds(runs: list[Run]) -> list[float]:
    return [run.seconds for run in runs]


def _memory(runs: list[Run]) -> list[float]:
    return [run.memory for run in runs]


def _run_job(root: Path, command: str, *arguments: str, output: str, core: int | None = None, words: int = 0) -> Run:
    return _start_job(root, command, *arguments, output=output, core=core, words=words).result()


def _run_baseline(root: Path, name: str, rows: int) -> Run:
    """Run a baseline with the shares of rows that our job samples."""
    shutil.rmtree(root / name, ignore_errors=True)
    sampled = min(1.0, SAMPLED / rows)
    compared = 0.5 ** max(0, math.ceil(math.log2(rows / COMPARED)))
    arguments = (str(root / "raw"), str(root / name), str(sampled), str(compared))
    return run(f"bench.baselines.preprocess_{name}", *arguments, python=BASELINES)


def _written(folder: Path) -> tuple[int, int]:
    """Count the rows of all parts of a program's output, and add up a hash of each, which no order changes."""
    count = total = 0
    for table in _tables(folder):
        words = (table + np.float32(0)).view(np.uint32).astype(np.uint64)
        hashes = (words * mixed(np.arange(words.shape[1], dtype=np.uint64))).sum(axis=1)
        count, total = count + len(table), (total + int(mixed(hashes).sum())) % 2**64
    return count, total


def _tables(folder: Path) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of a program's output, the label first, some at a time."""
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".pbr":
            yield recordio.parse(file.read_bytes(), labelled=True)
        elif file.suffix == ".arrow":
            for batch in feather.read_table(file).to_batches():
                yield np.column_stack([column.to_numpy() for column in batch.columns])
        elif file.name.startswith("holdout") and file.suffix == ".jsonl":
            labels = pa_json.read_json(folder / str(file.relative_to(folder)).replace("holdout", "labels"))["label"]
            features = pa_json.read_json(file)["features"].combine_chunks().flatten().to_numpy()
            table = np.column_stack([labels.to_numpy(), features.reshape(len(labels), -1)])
            yield table.astype(np.float32)


def _compare(name: str, found: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise BenchError if a program's statistics differ from ours: percentiles by more than two samples do."""
    for column in NAMES:
        both = other, own = found[column], ours[column]
        theirs, our = ([of[statistic] for statistic in STATISTICS[:-1]] for of in both)
        close, off = np.allclose(theirs, our, rtol=1e-9), 0.1 * own["standard_deviation"]
        theirs, our = (of["percentiles"][4:95] for of in both)
        if not close or not np.allclose(theirs, our, rtol=0, atol=off):
            raise BenchError(f"{name} found other statistics of {column}: {other}, ours {own}")


def _run_instances(root: Path, cores: list[int]) -> None:
    running = []
    for host, core in zip(HOSTS, cores, strict=False):
        resources = root / f"{host}.json"
        resources.write_text(json.dumps({"current_host": host, "hosts": HOSTS, "network_interface_name": "lo"}))
        arguments = ("--input", str(root / host), "--resources", str(resources))
        running.append(_start_job(root, "preprocess", *arguments, output=f"out-{host}", core=core))
    try:
        for program in running:
            program.result()
    finally:
        for program in running:
            program.kill()
    shutil.rmtree(root / "run", ignore_errors=True)
    for host in HOSTS:
        _upload(root / f"out-{host}", root / "run")
    _run_job(root, "merge", "--run", str(root / "run"), output="merged")
    _upload(root / "merged", root / "run")


def _upload(source: Path, target: Path) -> None:
    """Link the files below one folder, as an upload to S3 does; replaces files of the same name."""

    def link(file: str, copy: str) -> None:
        Path(copy).unlink(missing_ok=True)
        Path(copy).hardlink_to(file)

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def _content(run: Path) -> dict[str, tuple[int, int]]:
    """For each part, the number of rows and a sum of their hashes, which does not depend on their order."""
    found = {part: _written(run / part) for part in ("train", "validation")}
    for part in ("holdout", "labels"):
        count = total = 0
        for file in (run / part).iterdir():
            with file.open("rb") as lines:
                for line in lines:
                    count, total = count + 1, total + hash(line)
        found[part] = count, total
    return found
