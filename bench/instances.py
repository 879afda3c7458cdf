"""Preprocessing by two instances of a core each, their merge included, beside one instance on one core (Linux only)."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from bench import data
from bench.figure import Figure
from bench.preprocess import job
from bench.process import BenchError

FILES = 8
HOSTS = ["algo-1", "algo-2"]
PARTS = ("train", "validation", "holdout", "labels")


def measure(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """Rows a second; that the same rows come out is checked.

    Args:
        folder: For the generated data; emptied afterwards.
        rows: In all files together.
        repeats: Of each, taking turns.
    """
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(cores) < len(HOSTS):
        return
    root, one, two = folder / "instances", list[float](), list[float]()
    try:
        for number in range(FILES):
            file = root / f"raw/{number}.csv"
            data.write_raw(file, rows // FILES, seed=number)
            dealt = root / HOSTS[number % len(HOSTS)] / file.name
            dealt.parent.mkdir(exist_ok=True)
            dealt.hardlink_to(file)
        for _ in range(repeats):
            one.append(_seconds(lambda: _alone(root, cores[0])))
            two.append(_seconds(lambda: _together(root, cores)))
        if _content(root / "alone") != _content(root / "run"):
            raise BenchError("two instances made other rows than one")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    name = f"preprocess {rows:,} rows, two instances of a core each"
    yield Figure(name, rows / median(two), "rows/s", "one instance on one core", rows / median(one), "ratio >= 1.6",
                 "memory bandwidth, the merge")  # fmt: skip


def _alone(root: Path, core: int) -> None:
    job(root, "preprocess", "--input", str(root / "raw"), output="alone", core=core).result()


def _together(root: Path, cores: list[int]) -> None:
    running = []
    for host, core in zip(HOSTS, cores, strict=False):
        resources = root / f"{host}.json"
        resources.write_text(json.dumps({"current_host": host, "hosts": HOSTS, "network_interface_name": "lo"}))
        given = ("--input", str(root / host), "--resources", str(resources))
        running.append(job(root, "preprocess", *given, output=f"out-{host}", core=core))
    try:
        for program in running:
            program.result()
    finally:
        for program in running:
            program.kill()
    shutil.rmtree(root / "run", ignore_errors=True)
    for host in HOSTS:
        _put(root / f"out-{host}", root / "run")
    job(root, "merge", "--run", str(root / "run"), output="merged").result()
    _put(root / "merged", root / "run")


def _put(source: Path, target: Path) -> None:
    """As an upload to S3 does: below one prefix, over what is there."""
    for file in source.rglob("*"):
        if file.is_file():
            there = target / file.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            there.hardlink_to(file)


def _content(run: Path) -> dict[str, tuple[int, int]]:
    """The number of lines of each part, and a sum over them that does not depend on their order."""
    found = {}
    for part in PARTS:
        count = total = 0
        for file in (run / part).iterdir():
            with file.open("rb") as lines:
                for line in lines:
                    count, total = count + 1, (total + hash(line)) % 2**64
        found[part] = count, total
    return found


def _seconds(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
