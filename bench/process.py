"""Programs measured from outside: wall time and peak memory of a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_LAUNCH = PROJECT / "bench/launch.py"
# Linux counts ru_maxrss in KB, macOS in bytes.
_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10


class BenchError(Exception):
    """A measured program failed; the message has its output."""


@dataclass(frozen=True)
class Run:
    """How long a program took, in seconds from its start to its end, its peak memory in MB, and what it printed."""

    seconds: float
    memory: float
    output: str


def run(*arguments: str) -> Run:
    """Run `python -m <arguments>`. Raises BenchError when it fails."""
    command = [sys.executable, "-S", str(_LAUNCH), sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    output, _, last = done.stdout.rstrip("\n").rpartition("\n")
    code, seconds, memory = json.loads(last)
    if code:
        raise BenchError(f"python -m {' '.join(arguments)} ended with {code}:\n{output[-2000:]}")
    return Run(seconds, memory / _UNIT, output)


def fastest(runs: list[Run]) -> Run:
    """The least disturbed of some runs of the same program."""
    return min(runs, key=lambda measured: measured.seconds)
