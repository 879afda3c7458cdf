"""Early stopping of training jobs: the median rule of the Developer Guide, "Stop Training Jobs Early"."""

import statistics
import threading


class MedianRule:
    """The objective of each training job after each epoch; `larger` is better, or smaller."""

    def __init__(self, *, larger: bool) -> None:
        self._larger = larger
        self._running: dict[str, list[float]] = {}
        self._completed: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def completed(self, job: str) -> None:
        """A job has completed: from now on others are measured by it."""
        with self._lock:
            self._completed[job] = self._running.pop(job, [])

    def stops(self, job: str, value: float) -> bool:
        """Take in a job's value after an epoch.

        Returns:
            Whether it is worse than the median of the completed jobs' averages over the epochs up to this one.
        """
        with self._lock:
            values = self._running.setdefault(job, [])
            values.append(value)
            averages = [statistics.fmean(past[: len(values)]) for past in self._completed.values() if past]
        if not averages:
            return False
        median = statistics.median(averages)
        return value < median if self._larger else value > median
