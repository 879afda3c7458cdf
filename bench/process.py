"""Measure programs from outside: wall time, CPU time and peak memory, each program in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

PROJECT = Path(__file__).resolve().parent.parent
BASELINES = str(PROJECT / "build/bench-venv/bin/python")
"""The Python with the packages that the project is compared with: requirements-bench.txt."""
SOURCES = os.pathsep.join((str(PROJECT), str(PROJECT / "local")))
"""Packages of this checkout, whichever one is installed."""
# Linux adds the memory of the process that starts a program to the program's peak, so this process is small.
_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
seconds, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
print(f"[{os.waitstatus_to_exitcode(status)}, {seconds}, {cpu}, {usage.ru_maxrss}]", flush=True)
"""
# Linux counts ru_maxrss in KB, macOS in bytes.
_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10
_T = TypeVar("_T")


class BenchError(Exception):
    """A measured program failed; the message contains its output."""


@dataclass(frozen=True)
class Run:
    """A program's wall time and CPU time in seconds, its peak memory in MB, and its output."""

    seconds: float
    cpu: float
    memory: float
    output: str


@dataclass(frozen=True)
class Program:
    """A program that is running, with its command for error messages. Its process leads a process group."""

    command: Sequence[str]
    process: "subprocess.Popen[str]"

    def result(self) -> Run:
        """Wait for the program. Raises BenchError if it fails."""
        try:
            output, _ = self.process.communicate()
        except BaseException:
            self.kill()
            raise
        output, _, last = output.rstrip("\n").rpartition("\n")
        code, seconds, cpu, memory = json.loads(last)
        if code:
            raise BenchError(f"{' '.join(self.command)} ended with {code}:\n{output[-2000:]}")
        return Run(seconds, cpu, memory / _UNIT, output)

    def kill(self) -> None:
        """Kill the program and all processes that it started."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(
    *command: str, core: int | None = None, environment: Mapping[str, str] | None = None, folder: Path = PROJECT
) -> Program:
    """Start a command; `core` pins it to one core (Linux only)."""

    def pin() -> None:
        if core is not None and sys.platform == "linux":
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        [sys.executable, "-S", "-c", _LAUNCHER, *command],
        cwd=folder,
        env={**os.environ, **(environment or {}), "PYTHONPATH": SOURCES},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=pin,  # noqa: PLW1509 (no other thread holds a lock here)
    )
    return Program(command, process)


def run(*arguments: str, python: str = sys.executable) -> Run:
    """Run `python -m <arguments>`. Raises BenchError if it fails."""
    return start(python, "-m", *arguments).result()


def timed(call: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def least_disturbed(runs: list[Run]) -> Run:
    """The fastest of several runs of one program, with the least memory of any run.

    Some programs occasionally take a sixth more memory than they need: pandas, because of its allocator.
    """
    return replace(min(runs, key=lambda run: run.seconds), memory=min(run.memory for run in runs))


def spread(turns: Sequence[float], others: Sequence[float] = ()) -> float | None:
    """How far turns differ: the largest divided by the smallest, minus 1; None of a single turn.

    With the turns of a baseline, the ratios of the turns count: what disturbs a turn of both is no difference.
    """
    values = [turn / other for turn, other in zip(turns, others, strict=True)] if others else turns
    return max(values) / min(values) - 1 if len(values) > 1 else None


def in_turn(repeats: int, calls: Mapping[str, Callable[[], _T]]) -> dict[str, list[_T]]:
    """The results of `repeats` rounds of all calls, which alternate: a disturbance of the machine affects all."""
    results: dict[str, list[_T]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            results[name].append(call())
    return results
