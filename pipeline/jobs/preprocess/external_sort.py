"""An external distribution sort of rows by their keys: in memory while they fit, else on disk.

Rows are written as runs, the last key first, divided into buckets by the highest bits of the keys. They are read some
buckets at a time, off the end of every run: the last reading frees the disk as it goes (Knuth, "The Art
of Computer Programming", vol. 3, section 5.4).
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from .parallel import parallel_map
from .records import Numbers, Ordered, Records

SORT_IN_MEMORY = 8  # rows are held and sorted by this part of the memory: a sort needs two copies, and their text
BUCKET_BITS = 12
HEAD = 2  # the first words of a row, its key and its place
KEPT_OPEN = 500  # files: a process may often have 1024
READ_AT_MOST = 1 << 30  # bytes: Linux reads less than 2 GiB by one call, and macOS refuses more
LOADED_AT_A_TIME = 2  # groups, each up to half of the memory
FREED = 8  # the disk is freed by this part of the rows at a time: while it is, reading waits
WRITTEN_AT_A_TIME = 1 << 18  # bytes: what a core's own cache holds


@dataclass(frozen=True)
class Run:
    """A file of rows: first the heads of all, then all rows, in both the last key first."""

    file: Path
    before: Numbers
    """Shape (buckets + 1,): how many rows are in the buckets before each, and in all."""
    descriptor: int | None
    """Of the open file; to open a file takes longer than to read some rows of it."""

    def place(self, bucket: int, width: int) -> int:
        """Return where the rows before this bucket begin in the file, or with the width HEAD their heads."""
        rows = int(self.before[-1])
        return 8 * (width * (rows - int(self.before[bucket])) + (HEAD * rows if width > HEAD else 0))

    def read(self, target: NDArray[np.float64], bucket: int) -> None:
        """Read the last of the rows before a bucket, or heads if `target` is as wide as these."""
        offset, rest = self.place(bucket, target.shape[1]), target.reshape(-1).view(np.uint8)
        opened = os.open(self.file, os.O_RDONLY) if self.descriptor is None else self.descriptor
        try:
            while len(rest):  # the system may read less than it is asked for
                if not (read := os.preadv(opened, [rest[:READ_AT_MOST].data], offset)):
                    raise OSError(f"{self.file} is shorter than it was written")
                rest, offset = rest[read:], offset + read
        finally:
            if self.descriptor is None:
                os.close(opened)


@dataclass(frozen=True)
class Group:
    """Rows whose keys are above those of the group before; the functions may be called in any thread."""

    load: Callable[[], Records]
    """Returns the rows, in any order."""
    heads: Callable[[], Records]
    """Returns their keys and places, without the rest, in the same order."""


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
        self._runs: list[Run] = []
        self._writing: Future[None] | None = None

    def add(self, records: Records) -> None:
        """Take rows, in any order, also while `groups` are read: those do not have them."""
        self._held.append(records.words)
        if sum(words.nbytes for words in self._held) > self._memory:
            self._write_run()

    def groups(self) -> Iterator[Group]:
        """Yield all rows in groups."""
        if runs := self._written():
            for buckets in self._buckets(rows_before(runs)):
                yield Group(partial(load, runs, self._width, *buckets), partial(load, runs, HEAD, *buckets))
            return
        rows = self._taken()
        self._held = [rows.words]
        if len(rows):
            yield Group(lambda: rows, lambda: rows)

    def ordered(self, made: Callable[[Records], Ordered]) -> Iterator[Ordered]:
        """Yield what `made`, called in any thread, makes of each group of rows, for the last time."""
        runs = self._written()
        if not runs:
            rows = self._taken()
            yield from [made(rows)] if len(rows) else []
            return
        before, freed = rows_before(runs), 0

        def loaded(buckets: tuple[int, int]) -> tuple[int, Ordered]:
            return buckets[1], made(load(runs, self._width, *buckets))

        for end, group in parallel_map(loaded, self._buckets(before), LOADED_AT_A_TIME):
            if FREED * (before[end] - freed) >= before[-1]:
                self._free(runs, end)
                freed = before[end]
            yield group
            del group  # else it stays in memory while the next one is loaded

    def _free(self, runs: list[Run], end: int) -> None:
        """Free the disk of the buckets before `end` in the thread that writes: the disk may have to erase blocks."""

        def shorten() -> None:
            for run in runs:
                os.truncate(run.file, run.place(end, self._width))

        if self._writing:
            self._writing.result()
        self._writing = self._disk[1].submit(shorten)

    def _written(self) -> list[Run]:
        """Return the runs, with all rows that were added so far, if there are any."""
        if self._writing:
            if self._held:
                self._write_run()
            self._writing.result()
        return list(self._runs)

    def _buckets(self, before: Numbers) -> Iterator[tuple[int, int]]:
        """Yield the first bucket of each group, and the one after its last, given the rows before each."""
        most, first = self._memory // (8 * self._width), 0
        while before[first] < before[-1]:
            end = max(first + 1, int(np.searchsorted(before, before[first] + most, side="right")) - 1)
            if before[end] > before[first]:
                yield first, end
            first = end

    def _taken(self) -> Records:
        rows = Records(np.concatenate([np.empty((0, self._width)), *self._held]))
        self._held = []
        return rows

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
        held, self._held = self._held, []
        self._writing = thread.submit(self._write, folder / f"{len(self._runs):06}", held)

    def _write(self, file: Path, held: list[Floats]) -> None:
        together = np.concatenate(held)
        held.clear()  # else they stay in memory while the rows are ordered
        rows = self._ordered(Records(together))
        edges = np.arange(1, 1 << BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - BUCKET_BITS)
        before = np.array([0, *np.searchsorted(rows.keys, edges), len(rows)], np.int64)
        backwards, some = rows[::-1], max(1, WRITTEN_AT_A_TIME // (8 * self._width))
        with file.open("wb") as opened:
            opened.write(rows.rows.words[:, :HEAD][backwards.order].data)
            for start in range(0, len(rows), some):
                opened.write(backwards[start : start + some].moved().words.data)
        descriptor = os.open(file, os.O_RDONLY) if len(self._runs) < KEPT_OPEN else None
        if descriptor is not None:
            self.callback(os.close, descriptor)
        self._runs.append(Run(file, before, descriptor))


def rows_before(runs: list[Run]) -> Numbers:
    """Return how many rows of all runs are in the buckets before each, and in all."""
    rows: Numbers = np.sum([run.before for run in runs], axis=0)
    return rows


def load(runs: list[Run], width: int, first: int, end: int) -> Records:
    """Return the rows of the buckets `first` to before `end` of all runs, or with the width HEAD their heads."""
    counts = [int(run.before[end] - run.before[first]) for run in runs]
    words, at = np.empty((sum(counts), width)), 0
    for run, count in zip(runs, counts, strict=True):
        run.read(words[at : at + count], end)
        at += count
    return Records(words)
