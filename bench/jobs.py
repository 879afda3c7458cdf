"""What the jobs of a local AWS took: CPU and peak memory of each one's processes, watched from outside."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

EVERY_SECONDS = 0.1
NOUNS = {"preprocess": "processing", "train": "training", "score": "transform", "evaluate": "processing"}
"""The jobs of a run without a champion, by the word in their names, and what SageMaker calls them."""


@dataclass
class Use:
    """CPU seconds, and the peak of resident memory in MB, of a process until it was last seen."""

    cpu: float
    peak: float


@dataclass
class Watch:
    """The processes of jobs below the server `pid`, while the `with` block lasts."""

    pid: int
    uses: dict[tuple[str, int], Use] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def of(self, job: str) -> Use:
        """The CPU of all processes of a job, and the peak of the largest. Raises ValueError when none was seen."""
        found = [use for (name, _), use in self.uses.items() if name == job]
        return Use(sum(use.cpu for use in found), max(use.peak for use in found))

    def _watch(self) -> None:
        server = psutil.Process(self.pid)
        while not self._over.wait(EVERY_SECONDS):
            for process in server.children(recursive=True):
                with suppress(psutil.Error, OSError):
                    place = Path(process.cwd()).parts
                    if "jobs" in place:
                        times = process.cpu_times()
                        use = Use(times.user + times.system, peak(process.pid))
                        self.uses[(place[place.index("jobs") + 2], process.pid)] = use


def peak(pid: int) -> float:
    """The most resident memory that a process had, in MB; where the system does not keep it, what it has now."""
    if sys.platform == "linux":
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def seconds(sagemaker: Any, noun: str, job: str) -> float:
    """From a job's creation to its end, with the copies of its data. Raises ValueError unless it completed."""
    title = noun.title()
    found = getattr(sagemaker, f"describe_{noun}_job")(**{f"{title}JobName": job})
    if found[f"{title}JobStatus"] != "Completed":
        raise ValueError(f"{job}: {found[f'{title}JobStatus']}: {found.get('FailureReason')}")
    took: float = (found[f"{title}EndTime"] - found["CreationTime"]).total_seconds()
    return took


@contextmanager
def pinned(pid: int, cores: set[int]) -> Iterator[None]:
    """A process, its threads and its children on some cores; what they start meanwhile stays there, too (Linux)."""
    before = os.sched_getaffinity(0)
    _pin(pid, cores)
    try:
        yield
    finally:
        _pin(pid, before)


def _pin(pid: int, cores: set[int]) -> None:
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        with suppress(OSError, psutil.Error):
            for thread in process.threads():
                with suppress(OSError):
                    os.sched_setaffinity(thread.id, cores)
