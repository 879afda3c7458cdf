"""Programs measured from outside: wall time, CPU time and peak memory of a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
YARDSTICKS = str(PROJECT / "build/bench-venv/bin/python")
"""The Python that has what we are compared with: requirements-bench.txt."""
_LAUNCH = PROJECT / "bench/launch.py"
# Linux counts ru_maxrss in KB, macOS in bytes.
_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10


class BenchError(Exception):
    """A measured program failed; the message has its output."""


@dataclass(frozen=True)
class Run:
    """A program's seconds from its start to its end and those of CPU, its peak memory in MB, and what it printed."""

    seconds: float
    cpu: float
    memory: float
    output: str


@dataclass(frozen=True)
class Program:
    """A program that has been started.

    Args:
        command: What it was started by, for the message.
        process: It; its own group, as it is ended with all that it started.
    """

    command: Sequence[str]
    process: "subprocess.Popen[str]"

    def result(self) -> Run:
        """Wait for it. Raises BenchError when it failed."""
        try:
            told, _ = self.process.communicate()
        except BaseException:
            self.kill()
            raise
        output, _, last = told.rstrip("\n").rpartition("\n")
        code, seconds, cpu, memory = json.loads(last)
        if code:
            raise BenchError(f"{' '.join(self.command)} ended with {code}:\n{output[-2000:]}")
        return Run(seconds, cpu, memory / _UNIT, output)

    def kill(self) -> None:
        """End it and what it started."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(
    *command: str, core: int | None = None, environment: Mapping[str, str] | None = None, folder: Path = PROJECT
) -> Program:
    """Start a command, on one core when one is given (Linux only; elsewhere the scheduler chooses)."""

    def pin() -> None:
        if core is not None and sys.platform == "linux":
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        [sys.executable, "-S", str(_LAUNCH), *command],
        cwd=folder,
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=pin,  # noqa: PLW1509 (no thread of ours holds a lock here)
    )
    return Program(command, process)


def run(*arguments: str, python: str = sys.executable) -> Run:
    """Run `python -m <arguments>`. Raises BenchError when it fails."""
    return start(python, "-m", *arguments).result()


def least_disturbed(runs: list[Run]) -> Run:
    """The fastest of some runs of the same program, with the least memory that one of them took.

    What is compared now and then takes a sixth more than it needs: pandas, by the luck of its allocator.
    """
    return replace(min(runs, key=lambda run: run.seconds), memory=min(run.memory for run in runs))


def in_turn(repeats: int, runs: Mapping[str, Callable[[], Run]], once: Collection[str] = ()) -> dict[str, list[Run]]:
    """Each of `runs` so often, taking turns, as what disturbs the machine is to meet all of them; some only `once`."""
    done: dict[str, list[Run]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name, program in runs.items():
            if turn == 0 or name not in once:
                done[name].append(program())
    return done
