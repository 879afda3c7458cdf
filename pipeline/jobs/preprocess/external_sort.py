"""An external distribution sort of rows by their keys: in memory while they fit, else on disk.

The first pass writes runs, each divided into buckets by the highest bits of the rows' keys, the last bucket first. The
second takes some buckets at a time off the end of every run, so what is read needs no disk any more (Knuth, "The Art of
Computer Programming", vol. 3, section 5.4).
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np

from ..shared.arrow import Floats
from .records import Numbers, Records

SORT_IN_MEMORY = 8  # rows are held and sorted by this part of the memory: a sort needs two copies, and their text
BUCKET_BITS = 12


class ExternalSort(ExitStack):
    """Rows of `width` words; holds at most `memory` bytes of them, and the last rows added."""

    def __init__(self, folder: Path, width: int, memory: int) -> None:
        super().__init__()
        self._folder, self._width, self._memory = folder, width, memory
        self._held: list[Floats] = []
        self._runs: list[tuple[Path, Numbers]] = []
        """Of each run, how many rows are in the buckets before each, and in all."""

    def add(self, records: Records) -> None:
        """Take rows, in any order."""
        self._held.append(records.words)
        if sum(words.nbytes for words in self._held) > self._memory:
            self._write_run()

    def groups(self) -> Iterator[Records]:
        """Yield all rows, some buckets at a time, in the order of their keys from group to group; once."""
        if not self._runs:
            if self._held:
                yield self._taken()
            return
        if self._held:
            self._write_run()
        before = np.sum([rows for _, rows in self._runs], axis=0)
        most, first = self._memory // (8 * self._width), 0
        while before[first] < before[-1]:
            last = max(first + 1, int(np.searchsorted(before, before[first] + most, side="right")) - 1)
            if rows := before[last] - before[first]:
                yield self._loaded(first, last, rows)
            first = last

    def _taken(self) -> Records:
        rows = Records(np.concatenate(self._held))
        self._held = []
        return rows

    @cached_property
    def _disk(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(self.enter_context(tempfile.TemporaryDirectory(prefix=".sort-", dir=self._folder)))

    def _write_run(self) -> None:
        rows = self._taken()
        buckets = (rows.keys >> np.uint64(64 - BUCKET_BITS)).astype(np.uint16)
        order = np.argsort(buckets, kind="stable")
        run = self._disk / f"{len(self._runs):06}"
        self._runs.append((run, np.searchsorted(buckets[order], np.arange((1 << BUCKET_BITS) + 1))))
        run.write_bytes(rows.words[order[::-1]].data)

    def _loaded(self, first: int, last: int, rows: int) -> Records:
        words, at = np.empty((rows, self._width)), 0
        for run, before in self._runs:
            rest, count = int(before[-1] - before[last]), int(before[last] - before[first])
            with run.open("r+b") as file:
                file.seek(8 * self._width * rest)
                file.readinto(words[at : at + count].data)
                file.truncate(8 * self._width * rest)
            at += count
        return Records(words)
