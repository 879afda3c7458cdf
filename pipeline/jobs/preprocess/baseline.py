"""The baseline: statistics of the data, which later data is compared with."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.distributions import distribution
from ..shared.documents import Baseline, Distribution
from ..shared.settings import JobSettings
from .records import Records, mixed

SAMPLE_IN_MEMORY = 8  # the sample is this part of the memory, at most
CERTAINTY = 0.99


@dataclass(frozen=True)
class Moments:
    """Count, mean, spread and range of a table's columns, added up block by block; shape (columns,)."""

    count: int
    mean: Floats
    squares: Floats  # sums of squared distances from the mean
    low: Floats
    high: Floats

    @staticmethod
    def of(table: Floats) -> "Moments":
        """Return those of a table of shape (rows, columns)."""
        if not len(table):
            nothing = np.zeros(table.shape[1])
            return Moments(0, nothing, nothing, nothing + np.inf, nothing - np.inf)
        mean = table.mean(axis=0)
        return Moments(len(table), mean, np.square(table - mean).sum(axis=0), table.min(axis=0), table.max(axis=0))

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both tables' rows (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
        return self._joined(other, 1)

    def __sub__(self, other: "Moments") -> "Moments":
        """Return those without another's rows, of which equal ones stay: the range is the same."""
        return self._joined(other, -1)

    def _joined(self, other: "Moments", sign: int) -> "Moments":
        count = self.count + sign * other.count
        if not count:
            return Moments.of(np.empty((0, len(self.mean))))
        apart = other.mean - self.mean
        mean = self.mean + apart * (sign * other.count / count)
        squares = self.squares + sign * (other.squares + apart**2 * (self.count * other.count / count))
        return Moments(count, mean, squares, np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def in_sample(rows: Records, read: int, settings: JobSettings) -> NDArray[np.bool_]:
    """Return which of the rows kept are sampled: all, while as many as were read fit into the sample's memory.

    Whether a row is sampled is decided by a hash of it (bottom-k sampling with a fixed bound: Cohen and Kaplan,
    "Summarizing data using bottom-k sketches", 2007): the sample is the same in any order and over any number of
    instances, and the samples of several instances are merged by their union.
    """
    share = settings.memory_bytes // SAMPLE_IN_MEMORY / (8 * rows.words.shape[1] * max(1, read))
    if share >= 1:
        return np.ones(len(rows), bool)
    # Keys decide the part, and repeated measurements share one: hence a hash of both.
    drawn: NDArray[np.bool_] = mixed(rows.keys ^ rows.labels.view(np.uint64)) < np.uint64(share * 2.0**64)
    return drawn


def baseline(
    rows: dict[str, int], counts: NDArray[np.int64], moments: Moments, sample: Records, settings: JobSettings
) -> Baseline:
    """Return counts of rows and labels, and each feature's statistics over the rows kept (all parts).

    `counts` are kept rows by class; `moments` are of the labels and the features, in this order. Percentiles and bins
    are of `sample`: all rows, or so many that a percentile's rank is off by no more than `rank_error` with 99 %
    certainty (Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", 1990).
    """
    whole = len(sample) == moments.count
    error = 0.0 if whole else math.sqrt(math.log(2 / (1 - CERTAINTY)) / (2 * max(1, len(sample))))
    document: Baseline = {
        "rows": rows,
        "quantiles": {"rows": len(sample), "rank_error": error},
        "features": {
            name: _distribution(sample.features[:, number], moments, number + 1, whole)
            for number, name in enumerate(settings.features)
        },
    }
    if settings.classes:
        document["labels"] = dict(zip(settings.classes, counts.tolist(), strict=True))
    else:
        document["target"] = _distribution(sample.labels, moments, 0, whole)
    return document


def _distribution(values: Floats, moments: Moments, column: int, whole: bool) -> Distribution:
    found = distribution(values)
    if not whole:
        found["count"] = moments.count
        found["mean"] = float(moments.mean[column])
        found["standard_deviation"] = math.sqrt(moments.squares[column] / max(1, moments.count - 1))
        found["minimum"] = float(moments.low[column])
        found["maximum"] = float(moments.high[column])
    return found
