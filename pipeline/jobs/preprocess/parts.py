"""Which part a row belongs to: a hash decides, whatever the other rows are; in a small table, ranks for rare classes.

By their hashes alone, 12 +- 3 of 60 rows of a class are in a fifth of the rows. Such a class is divided by the order of
its hashes instead, within each file, so that every part has its share to one row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask
from ..shared.settings import JobSettings
from .copies import Copies
from .records import LINE_BITS, Keys, Numbers, Ordered, Records, first_of_each, mixed

SMALL = 50_000  # rows; in a larger table the hash alone keeps a class's share in a fifth of the rows to 0.3 %
RARE = 0.1


@dataclass(frozen=True)
class Parts:
    """The parts of rows by key: each part has its range of positions from 0 to 1. `keys`, in order, have their own."""

    settings: JobSettings
    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    positions: Floats = field(default_factory=lambda: np.empty(0))

    def in_train(self, rows: Records) -> Mask:
        """Return which rows, in any order, are of train."""
        return self._of(rows.keys) < self.settings.shares["train"]

    def split(self, rows: Ordered) -> Iterator[tuple[str, Ordered]]:
        """Yield the rows of train, validation and hold-out, given and yielded in the order of keys."""
        ends = np.cumsum(list(self.settings.shares.values())[:-1])
        positions = self._of(rows.keys)
        if not len(self.keys):
            places = [0, *np.searchsorted(positions, ends, side="left").tolist(), len(rows)]
            for name, start, end in zip(self.settings.shares, places[:-1], places[1:], strict=True):
                yield name, rows[start:end]
            return
        numbers = np.searchsorted(ends, positions, side="right")
        for number, name in enumerate(self.settings.shares):
            yield name, rows[numbers == number]

    def _of(self, keys: Keys) -> Floats:
        positions = _position(keys)
        if len(self.keys):
            places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            positions = np.where(self.keys[places] == keys, self.positions[places], positions)
        return positions


def parts_of(groups: Iterable[Records], settings: JobSettings) -> Parts:
    """Return the parts of a small table, given all its rows with a class, as read or some already joined, in any order.

    A file that is uploaded later moves no row of the others: a row's rank is among the rows of its class that no file
    before has.
    """
    rows = Records(np.concatenate([rows.words for rows in groups]))
    joined = Copies(by_id=bool(settings.id_columns)).joined(rows).moved()
    keys, files, classes = _first_places(joined, settings)
    rare_keys, positions = [np.empty(0, np.uint64)], [np.empty(0)]
    for file in np.unique(files):
        of_file = files == file
        for number in range(len(settings.classes)):
            own = np.sort(keys[of_file & (classes == number)])
            if 0 < len(own) < RARE * of_file.sum():
                rare_keys.append(own)
                positions.append((np.arange(len(own)) + _position(mixed(own[:1]))) / len(own))
    rare = np.concatenate(rare_keys)
    order = np.argsort(rare)
    return Parts(settings, rare[order], np.concatenate(positions)[order])


def _first_places(rows: Records, settings: JobSettings) -> tuple[Keys, Numbers, NDArray[np.int64]]:
    """Return the key of each row as it counts, the number of the first file that has it, and its class there.

    `rows` are joined.
    """
    counts = np.ones(len(rows), np.int64) if settings.id_columns else rows.counts
    starts = first_of_each(rows.keys)
    # How many copies of a row the files before have.
    before = np.zeros(len(rows), np.int64)
    for place in np.flatnonzero(~starts):
        before[place] = max(before[place - 1], counts[place - 1])
    new = np.maximum(counts - before, 0)
    of = np.repeat(np.arange(len(rows)), new)
    copy = np.arange(len(of)) - (np.cumsum(new) - new)[of] + before[of]
    keys = np.where(copy > 0, mixed(rows.keys[of] + copy.astype(np.uint64)), rows.keys[of])
    return keys, rows.places[of] >> LINE_BITS, rows.labels[of].astype(np.int64)


def _position(keys: Keys) -> Floats:
    return np.asarray((keys >> np.uint64(11)) * 2.0**-53)
