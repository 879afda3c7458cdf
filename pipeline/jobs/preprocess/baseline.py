"""The baseline: statistics of the data, which later data is compared with."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask
from ..shared.documents import Baseline, Distribution, distribution
from ..shared.settings import JobSettings
from .records import Records

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
        mean = table.sum(axis=0) / max(1, len(table))
        low, high = table.min(axis=0, initial=np.inf), table.max(axis=0, initial=-np.inf)
        return Moments(len(table), mean, np.square(table - mean).sum(axis=0), low, high)

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both tables' rows (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
        count = self.count + other.count
        share, apart = other.count / (count or 1), other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * (self.count * share)
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Moments(count, self.mean + apart * share, squares, low, high)

    def __neg__(self) -> "Moments":
        """Return what takes these rows off when added to those of all, where equal ones stay: the range is the same."""
        return Moments(-self.count, self.mean, -self.squares, self.low, self.high)


def in_sample(rows: Records, read: int, settings: JobSettings) -> Mask:
    """Return which of the rows kept are sampled: all, while as many as were read fit into the sample's memory.

    Whether a row is sampled is decided by a hash of it (bottom-k sampling with a fixed bound: Cohen and Kaplan,
    "Summarizing data using bottom-k sketches", 2007): the sample is the same in any order and over any number of
    instances, and the samples of several instances are merged by their union.
    """
    share = settings.memory_bytes // SAMPLE_IN_MEMORY / (8 * rows.words.shape[1] * max(1, read))
    if share >= 1:
        return np.ones(len(rows), bool)
    return rows.hashes < np.uint64(share * 2.0**64)


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
