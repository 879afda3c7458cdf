"""The machine that produced the figures: its processor, memory, and rates of memory, disk and CSV parser."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from bench import data
from bench.process import timed

_WRITTEN, _COPIED, _ROWS, _REPEATS = 512, 256, 100_000, 5


@dataclass(frozen=True)
class Machine:
    """The processor, the cores that this process may use, GB of memory, and rates in MB (10^6 bytes) per second.

    `disk` is writing with a flush; `copy` is memory by one core, reads and writes counted; `parse` is pyarrow on all
    cores with CSV of 30 numbers per row.
    """

    processor: str
    cores: int
    memory: float
    disk: float
    copy: float
    parse: float


def measure(folder: Path) -> Machine:
    """Measure the machine. Takes some seconds and 0.5 GB of the disk that `folder` is on."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = Path(name) / "written"
        block = np.random.default_rng(0).bytes(1_000_000)
        disk = _fastest(lambda: _write(file, block))
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        disk=round(_WRITTEN / disk),
        copy=round(copy_speed()),
        parse=round(parse_speed(folder)),
    )


def parse_speed(folder: Path) -> float:
    """Measure `Machine.parse`, with a file in `folder` for a moment."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = Path(name) / "numbers.csv"
        data.write_csv(file, _ROWS, seed=1)
        text = file.read_bytes()
    options = csv.ReadOptions(autogenerate_column_names=True)
    return len(text) / 1e6 / _fastest(lambda: csv.read_csv(pa.BufferReader(text), options))


def copy_speed() -> float:
    """Measure `Machine.copy`."""
    source = np.ones(_COPIED * 1_000_000 // 8)
    target = np.empty_like(source)
    return 2 * _COPIED / _fastest(lambda: np.copyto(target, source))


def python_start() -> float:
    """The seconds that Python takes to start and end with nothing imported."""
    return _fastest(lambda: subprocess.run([sys.executable, "-I", "-c", ""], check=True))


def _write(file: Path, block: bytes) -> None:
    with file.open("wb") as opened:
        for _ in range(_WRITTEN):
            opened.write(block)
        opened.flush()
        os.fsync(opened.fileno())


def _fastest(call: Callable[[], object]) -> float:
    return min(timed(call) for _ in range(_REPEATS))


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
