"""Rows on their way into the order of their keys: in memory while they fit, on disk from there.

The first pass deals rows out to buckets by the highest bits of their keys, the second takes bucket after bucket: an
external distribution sort (Knuth, "The Art of Computer Programming", vol. 3, section 5.4).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from records import Floats, Records

SPILL_IN_MEMORY = 8
"""Rows are spilled and sorted by this part of the memory: a sort needs two copies, and their text."""
MOST_BUCKETS = 4096
WORDS_A_BYTE = 4
"""Bytes of a row's words that a byte of CSV makes, at most: a digit and a comma become 8."""


class Spill:
    """Rows of `width` words; holds at most `memory` bytes of them."""

    def __init__(self, folder: Path, width: int, memory: int, expected_text: int) -> None:
        self._folder, self._width, self._memory = folder, width, memory
        buckets = WORDS_A_BYTE * expected_text / memory
        self._bits = min(max(0, math.ceil(math.log2(max(1, buckets)))), int(math.log2(MOST_BUCKETS)))
        self._held: list[Floats] = []
        self._bytes = 0
        self._disk: Path | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, records: Records) -> None:
        """Take rows, in any order."""
        self._held.append(records.words)
        self._bytes += records.words.nbytes
        if self._bytes > self._memory and self._bits:
            self._flush()

    def groups(self) -> Iterator[Records]:
        """Yield all rows, some buckets at a time, in the order of their keys from group to group; once."""
        if self._disk is None:
            held, self._held = self._held, []
            if held:
                yield Records(np.concatenate(held))
            return
        self._flush()
        group: list[Path] = []
        size = 0
        for file in sorted(self._disk.iterdir()):
            if group and size + file.stat().st_size > self._memory:
                yield self._loaded(group, size)
                group, size = [], 0
            group.append(file)
            size += file.stat().st_size
        yield self._loaded(group, size)

    def _flush(self) -> None:
        if self._disk is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".spill-", dir=self._folder)
            self._disk = Path(self._stack.enter_context(made))
        dealt = []
        while self._held:
            rows = Records(self._held.pop())
            bucket = (rows.keys >> np.uint64(64 - self._bits)).astype(np.uint16)
            order = np.argsort(bucket, kind="stable")
            ends = np.searchsorted(bucket[order], np.arange((1 << self._bits) + 1))
            dealt.append((rows.words[order], ends))
        for number in range(1 << self._bits):
            with (self._disk / f"{number:04x}").open("ab") as file:
                for words, ends in dealt:
                    file.write(words[ends[number] : ends[number + 1]].data)
        self._bytes = 0

    def _loaded(self, group: list[Path], size: int) -> Records:
        words = np.empty((size // (8 * self._width), self._width))
        at = 0
        for file in group:
            rows = np.fromfile(file).reshape(-1, self._width)
            words[at : at + len(rows)] = rows
            at += len(rows)
            file.unlink()
        return Records(words)
