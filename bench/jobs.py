"""CPU and peak memory of the jobs of a local AWS, observed from outside."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

EVERY_SECONDS = 0.1
NOUNS = {"preprocess": "processing", "train": "training", "score": "transform", "evaluate": "processing"}
"""The jobs of a run without a champion: the kind in their names, and SageMaker's kind."""


@dataclass
class Usage:
    """CPU seconds, and peak resident memory in MB, of a process when it was last observed."""

    cpu: float
    peak: float


Usages = dict[tuple[str, int], Usage]
"""By the name of the job and the id of the process."""


@contextmanager
def watching(pid: int) -> Iterator[Usages]:
    """Observe the processes of jobs below the server `pid` during the `with` block."""
    usages, stop = Usages(), threading.Event()

    def watch() -> None:
        server = psutil.Process(pid)
        while not stop.wait(EVERY_SECONDS):
            for process in server.children(recursive=True):
                with suppress(psutil.Error, OSError):
                    folders = Path(process.cwd()).parts
                    if "jobs" in folders:
                        key, times = (folders[folders.index("jobs") + 2], process.pid), process.cpu_times()
                        before = usages[key].peak if key in usages else 0.0  # a process that ends has no memory
                        usages[key] = Usage(times.user + times.system, max(before, peak(process.pid)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield usages
    finally:
        stop.set()
        thread.join()


def usage_of(job: str, usages: Usages) -> Usage:
    """The CPU of all processes of a job, and the peak memory of the largest. Raises ValueError if there is none."""
    found = [usage for (name, _), usage in usages.items() if name == job]
    return Usage(sum(usage.cpu for usage in found), max(usage.peak for usage in found))


def peak(pid: int) -> float:
    """The peak resident memory of a process in MB; its present memory where the system does not record the peak."""
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


def run_job(sagemaker: Any, noun: str, name: str, **request: Any) -> float:
    """Create a job and wait for its end; returns `seconds`."""
    named = {f"{noun.title()}JobName": name}
    getattr(sagemaker, f"create_{noun}_job")(**request | named)
    waiter = sagemaker.get_waiter(f"{noun}_job_completed_or_stopped")
    waiter.wait(**named, WaiterConfig={"Delay": 0.2, "MaxAttempts": 3000})
    return seconds(sagemaker, noun, name)


@contextmanager
def pinned(pid: int, cores: set[int]) -> Iterator[None]:
    """Pin a process, its threads, its children and all processes that they start to some cores (Linux only)."""
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
