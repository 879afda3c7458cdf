"""An external distribution sort of rows by their keys: in memory while they fit, else on disk.

Rows are written as runs, the last key first, divided into buckets by the highest bits of the keys. They are read some
buckets at a time, off the end of every run: the last reading frees the disk as it goes (Knuth, "The Art
of Computer Programming", vol. 3, section 5.4).
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ..shared.arrow import Floats
from .records import Numbers, Ordered, Records

SORT_IN_MEMORY = 8  # rows are held and sorted by this part of the memory: a sort needs two copies, and their text
BUCKET_BITS = 12
FREED = 16  # a run is shortened by this part at least: that takes longer than to read some buckets of it
WRITTEN_AT_A_TIME = 1 << 18  # bytes: what a core's own cache holds


class ExternalSort(ExitStack):
    """Rows of `width` words; holds at most `memory` bytes of them, and the last rows added.

    Half of it is for a run that is written, or for rows that the caller has, while others are added or read.

    `ordered` returns rows in the order of their keys; it may make one row of several with the same key. It is called in
    any thread.
    """

    def __init__(self, folder: Path, width: int, memory: int, ordered: Callable[[Records], Ordered]) -> None:
        super().__init__()
        self._folder, self._width, self._memory, self._ordered = folder, width, memory // 2, ordered
        self._held: list[Floats] = []
        self._runs: list[tuple[Path, Numbers]] = []
        """Of each run, how many rows are in the buckets before each, and in all."""
        self._writing: Future[None] | None = None

    def add(self, records: Records) -> None:
        """Take rows, in any order, also while `groups` are read: those do not have them."""
        self._held.append(records.words)
        if sum(words.nbytes for words in self._held) > self._memory:
            self._write_run()

    def groups(self) -> Iterator[Callable[[], Records]]:
        """Return a function per group of all rows, which loads it in any thread; they are in any order.

        The keys of a group are above those of the one before.
        """
        return self._groups(last=False)

    def ordered(self) -> Iterator[Ordered]:
        """Yield all rows in their order, some buckets at a time, for the last time."""
        for load in self._groups(last=True):
            # No name of its own: the rows would stay in memory while the next are loaded.
            yield self._ordered(load())

    def _groups(self, *, last: bool) -> Iterator[Callable[[], Records]]:
        if not self._writing:
            if self._held:
                rows = _concatenated(self._taken(), self._width)
                self._held = [] if last else [rows.words]
                yield partial(Records, rows.words)
            return
        if self._held:
            self._write_run()
        self._writing.result()
        runs = list(self._runs)
        before = np.sum([rows for _, rows in runs], axis=0)
        most, first = self._memory // (8 * self._width), 0
        while before[first] < before[-1]:
            end = max(first + 1, int(np.searchsorted(before, before[first] + most, side="right")) - 1)
            if before[end] > before[first]:
                yield partial(loaded, runs, first, end, self._width, last)
            first = end

    def _taken(self) -> list[Floats]:
        held, self._held = self._held, []
        return held

    @cached_property
    def _disk(self) -> tuple[Path, ThreadPoolExecutor]:
        """The folder of the runs, and the thread that writes them, which ends before the folder is removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix=".sort-", dir=self._folder)))
        return folder, self.enter_context(ThreadPoolExecutor(1))

    def _write_run(self) -> None:
        folder, thread = self._disk
        if self._writing:
            self._writing.result()
        self._writing = thread.submit(self._write, folder / f"{len(self._runs):06}", self._taken())

    def _write(self, run: Path, held: list[Floats]) -> None:
        rows = self._ordered(_concatenated(held, self._width))
        edges = np.arange(1, 1 << BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - BUCKET_BITS)
        before = np.array([0, *np.searchsorted(rows.keys, edges), len(rows)], np.int64)
        self._runs.append((run, before))
        backwards, some = rows[::-1], max(1, WRITTEN_AT_A_TIME // (8 * self._width))
        with run.open("wb") as file:
            for start in range(0, len(rows), some):
                file.write(backwards[start : start + some].moved().words.data)


def _concatenated(held: list[Floats], width: int) -> Records:
    rows = Records(np.concatenate([np.empty((0, width)), *held]))
    held.clear()  # else they stay in memory while the rows are ordered
    return rows


def loaded(runs: list[tuple[Path, Numbers]], first: int, end: int, width: int, last: bool) -> Records:
    """Return the rows of the buckets `first` to before `end` of all runs, and free the disk from there on if `last`."""
    counts = [int(before[end] - before[first]) for _, before in runs]
    words, at = np.empty((sum(counts), width)), 0
    for (run, before), count in zip(runs, counts, strict=True):
        rest = 8 * width * int(before[-1] - before[end])
        with run.open("r+b") as file:  # buffered, which reads again where the system reads less than it is asked for
            file.seek(rest)
            file.readinto(words[at : at + count].data)
            if last and FREED * (run.stat().st_size - rest) >= 8 * width * int(before[-1]):
                file.truncate(rest)
        at += count
    return Records(words)
