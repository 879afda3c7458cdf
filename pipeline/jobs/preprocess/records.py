"""Checked rows as the job moves and sorts them: one matrix of 8-byte words, a row each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared import errors
from ..shared.arrow import Floats, Mask

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]

LINE_BITS = 40
"""A row's place is the file's number above these bits, its line within them: 8 million files of 1.1e12 lines."""
ROWS_AT_A_TIME = 1024  # rows turned from columns at a time: what a core's own cache holds


@dataclass(frozen=True)
class Records:
    """Rows with the key that decides their part and their order, and the place they came from."""

    words: Floats
    """Shape (rows, 3 + features): the bits of key and place, the label, the features in the settings' order."""

    @staticmethod
    def of(columns: list[Floats], labels: Floats, places: NDArray[np.int64], salt: str) -> "Records":
        """Return rows made of columns, -0.0 as 0.0."""
        columns = [column + 0.0 for column in columns]
        words = np.empty((len(labels), 3 + len(columns)))
        words[:, 0] = row_keys(columns, salt).view(np.float64)
        words[:, 1] = places.view(np.float64)
        words[:, 2] = labels + 0.0
        for start in range(0, len(words), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            for number, column in enumerate(columns, 3):
                words[rows, number] = column[rows]
        return Records(words)

    @property
    def keys(self) -> Keys:
        """Shape (rows,): a hash of the features."""
        return self.words.view(np.uint64)[:, 0]

    @property
    def places(self) -> NDArray[np.int64]:
        """Shape (rows,): file and line, see LINE_BITS."""
        return self.words.view(np.int64)[:, 1]

    @property
    def labels(self) -> Floats:
        """Shape (rows,): the class number, or the value for regression."""
        return self.words[:, 2]

    @property
    def features(self) -> Floats:
        """Shape (rows, features)."""
        return self.words[:, 3:]

    @property
    def hashes(self) -> Keys:
        """Shape (rows,): a hash of features and label, as keys decide the part and repeated measurements share one."""
        return mixed(self.keys ^ self.labels.view(np.uint64))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Records":
        """Return some of the rows, by a slice, a mask or their numbers."""
        return Records(self.words[rows])

    def order(self) -> Numbers:
        """Return the rows' numbers by key, then label, then place."""
        order: Numbers = np.argsort(self.keys)
        twins = repeated(self.keys[order])
        among = order[twins]
        order[twins] = among[np.lexsort((self.places[among], self.labels[among], self.keys[among]))]
        return order


def place_of(files: list[str], place: int) -> str:
    """Return file and line of a row as text, from its place."""
    return errors.place(files[place >> LINE_BITS], place & ((1 << LINE_BITS) - 1))


def repeated(ordered: Keys) -> Mask:
    """Return which of the keys, given in order, are there more than once."""
    again = np.concatenate(([False], ordered[1:] == ordered[:-1], [False]))
    found: Mask = (again[1:] | again[:-1])[: len(ordered)]
    return found


def row_keys(columns: Sequence[Floats], salt: str) -> Keys:
    """Return a 64-bit hash of each row's values, from at least a column: equal numbers hash equal, however written."""
    seed = np.frombuffer(hashlib.blake2b(salt.encode("utf-8"), digest_size=8).digest(), np.uint64)
    keys = np.repeat(seed, len(columns[0]))
    for column in columns:
        keys ^= np.ascontiguousarray(column).view(np.uint64)
        keys = mixed(keys)
    return keys


def mixed(keys: Keys) -> Keys:
    """Return other keys, as if drawn again: splitmix64 (Steele, Lea and Flood, "Fast splittable PRNGs", 2014)."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys ^= keys >> np.uint64(shift)
        keys *= np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    return keys
