"""Count, mean, spread and range of columns, added up block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from records import Floats


@dataclass(frozen=True)
class Moments:
    """Of a table with any number of rows; but `count`, each of shape (columns,)."""

    count: int
    mean: Floats
    squares: Floats
    """Sums of squared distances from the mean."""
    low: Floats
    high: Floats

    @staticmethod
    def of(table: Floats) -> Moments:
        """Return those of a table of shape (rows, columns)."""
        if not len(table):
            nothing = np.zeros(table.shape[1])
            return Moments(0, nothing, nothing, nothing + np.inf, nothing - np.inf)
        mean = table.mean(axis=0)
        return Moments(len(table), mean, np.square(table - mean).sum(axis=0), table.min(axis=0), table.max(axis=0))

    def __add__(self, other: Moments) -> Moments:
        """Return those of both tables' rows (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
        return self._joined(other, 1)

    def __sub__(self, other: Moments) -> Moments:
        """Return those without another's rows, of which equal ones stay: the range is the same."""
        return self._joined(other, -1)

    def _joined(self, other: Moments, sign: int) -> Moments:
        count = self.count + sign * other.count
        if not count:
            return Moments.of(np.empty((0, len(self.mean))))
        apart = other.mean - self.mean
        mean = self.mean + apart * (sign * other.count / count)
        squares = self.squares + sign * (other.squares + apart**2 * (self.count * other.count / count))
        return Moments(count, mean, squares, np.minimum(self.low, other.low), np.maximum(self.high, other.high))
