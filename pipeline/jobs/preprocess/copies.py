"""How often a row counts: as often as in the file that has it most; with id columns once, as it was uploaded last."""

from collections.abc import Iterator
from threading import Lock

import numpy as np

from ..shared.arrow import Mask
from .records import LINE_BITS, Numbers, Ordered, Records, first_of_each, mixed, repeated


class Copies:
    """Makes one row of several with the same key, in any thread.

    `replaced` counts the rows whose id came again with other values; of values that change back and forth not all
    changes are seen.
    """

    def __init__(self, by_id: bool) -> None:
        self._by_id = by_id
        self.replaced, self._lock = 0, Lock()

    def alone(self, rows: Records) -> Mask:
        """Return which rows count once for sure: by a sort of the keys alone, as few rows do not."""
        keys = np.sort(rows.keys)
        several = keys[repeated(keys)]
        others = np.zeros(len(rows), bool)
        if len(several):
            others = several.take(np.searchsorted(several, rows.keys), mode="clip") == rows.keys
        if not self._by_id:
            others |= rows.counts > 1
        return ~others

    def joined(self, rows: Records) -> Ordered:
        """Return rows in the order of keys, then files, those with the same key and file as one."""
        ordered = Ordered(rows, rows.order())
        keys = ordered.keys
        same = keys[1:] == keys[:-1]
        if not same.any():
            return ordered
        files = ordered.places >> LINE_BITS
        same &= files[1:] == files[:-1]
        if self._by_id:
            return self._newest(ordered, same)
        starts = np.flatnonzero(np.append(True, ~same))
        counts = np.add.reduceat(ordered.counts, starts)
        first = ordered[starts]
        rows.places[first.order] += counts - first.counts
        return first

    def once(self, rows: Ordered) -> Ordered:
        """Return each different one of joined rows once."""
        first = first_of_each(rows.keys)
        if self._by_id:
            return self._newest(rows, ~first[1:])
        return rows if first.all() else rows[first]

    def counts(self, rows: Ordered) -> Numbers:
        """Return how often each of those that `once` returns counts."""
        starts = np.flatnonzero(first_of_each(rows.keys))
        if self._by_id or not len(rows):
            return np.ones(len(starts), np.int64)
        counts: Numbers = np.maximum.reduceat(rows.counts, starts)
        return counts

    def _newest(self, rows: Ordered, same: Mask) -> Ordered:
        older = np.flatnonzero(same)
        if not len(older):
            return rows
        old, new = (rows[these].moved().words.view(np.uint64)[:, 2:] for these in (older, older + 1))
        changed = int((old != new).any(axis=1).sum())
        with self._lock:
            self.replaced += changed
        return rows[np.append(~same, True)]


def copies(rows: Records, counts: Numbers, most: int) -> Iterator[Records]:
    """Yield the copies of rows that count more than once, at most `most` at a time, each with a key of its own."""
    more = counts - 1
    ends = np.cumsum(more)
    for first in range(0, int(more.sum()), most):
        numbers = np.arange(first, min(first + most, int(ends[-1])))
        of = np.searchsorted(ends, numbers, side="right")
        some = rows[of]
        some.keys[:] = mixed(some.keys + (numbers - ends[of] + counts[of]).astype(np.uint64))
        some.places[:] += 1 - some.counts
        yield some
