"""Rows that have the features of another row and another class."""

from dataclasses import dataclass, field

import numpy as np

from ..shared.settings import JobSettings
from .records import ROWS_AT_A_TIME, Keys, Records, first_of_each, mixed, repeated

IN_MEMORY = 16  # this part of the memory, at most, is for them
ALL = 1 << 64


@dataclass
class Contradictions:
    """Counts them: exactly while a few words per row fit into the memory, else of a sample of the features."""

    most: int
    """Rows that are held."""
    held: list[Keys] = field(default_factory=list)
    """Of rows whose features' hash is below `limit`: this hash, the label and the key; shape (rows, 3)."""
    limit: int = ALL
    _rows: int = field(default=0, init=False)

    @staticmethod
    def none(settings: JobSettings, limit: int = ALL) -> "Contradictions":
        """Return those of no row."""
        return Contradictions(settings.memory_bytes // IN_MEMORY // 24, [], limit)

    def __add__(self, other: "Contradictions") -> "Contradictions":
        both = Contradictions(self.most, [], min(self.limit, other.limit))
        for held in (*self.held, *other.held):
            both.add(held)
        return both

    def add(self, held: Keys) -> None:
        """Take what `of` returns for some rows."""
        self.held.append(self._below(held))
        self._rows += len(self.held[-1])
        while self._rows > self.most:
            self.limit //= 2
            self.held = [self._below(np.concatenate(self.held))]
            self._rows = len(self.held[0])

    def of(self, rows: Records) -> Keys:
        """Return hash of the features, label and key of rows, shape (rows, 3), of those that `add` may keep."""
        return self._below(np.column_stack([feature_hashes(rows), rows.words.view(np.uint64)[:, [2, 0]]]))

    def _below(self, held: Keys) -> Keys:
        return held if self.limit == ALL else held[held[:, 0] < np.uint64(self.limit)]

    def table(self) -> Keys:
        """Return all that is held, shape (rows, 3)."""
        return np.concatenate([np.empty((0, 3), np.uint64), *self.held])

    def count(self) -> int:
        """Return how many rows have the features of another one, and another class."""
        held = self.table()
        held = held[np.argsort(held[:, 0])]
        held = held[repeated(held[:, 0])]  # few are left
        held = held[np.unique(held[:, 2], return_index=True)[1]]  # several instances may have the same row
        held = held[np.lexsort((held[:, 1], held[:, 0]))]
        if not len(held):
            return 0
        starts = np.flatnonzero(first_of_each(held[:, 0]))
        differ = np.append(False, (held[1:, :2] != held[:-1, :2]).any(axis=1))
        differ[starts] = False
        sizes = np.diff(starts, append=len(held))
        return round(int(sizes[np.logical_or.reduceat(differ, starts)].sum()) * (ALL / self.limit))


def feature_hashes(rows: Records) -> Keys:
    """Return a hash of each row's features, shape (rows,)."""
    words, sums = rows.words.view(np.uint64), np.empty(len(rows), np.uint64)
    factors, half = mixed(np.arange(words.shape[1] - 3, dtype=np.uint64)) | np.uint64(1), np.uint64(32)
    # The low bits of floats are mostly zeros, so the high ones come first to them, then to all by an odd factor each.
    for start in range(0, len(words), ROWS_AT_A_TIME):
        columns = words[start : start + ROWS_AT_A_TIME, 3:].T.copy()  # numbers beside each other take less time
        columns ^= columns >> half
        columns *= factors[:, np.newaxis]
        columns ^= columns >> half
        sums[start : start + ROWS_AT_A_TIME] = columns.sum(axis=0)
    return mixed(sums)
