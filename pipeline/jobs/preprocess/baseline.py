"""The baseline: statistics of the data, which later data is compared with."""

import math
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from ..shared.arrow import Floats, Mask
from ..shared.documents import Baseline, Categories, Distribution, distribution
from ..shared.settings import JobSettings
from .parallel import parallel_map
from .records import ROWS_AT_A_TIME, Records, mixed

SAMPLE_IN_MEMORY = 8  # the sample is this part of the memory, at most
CERTAINTY = 0.99


@dataclass(frozen=True)
class Moments:
    """Count, mean, spread and range of a table's columns without NaN, added up block by block; shape (columns,)."""

    count: Floats
    mean: Floats
    squares: Floats  # sums of squared distances from the mean
    low: Floats
    high: Floats

    @staticmethod
    def of(table: Floats) -> "Moments":
        """Return those of a table of shape (rows, columns)."""
        if len(table) > ROWS_AT_A_TIME:
            starts = range(0, len(table), ROWS_AT_A_TIME)
            return reduce(add, (Moments.of(table[start : start + ROWS_AT_A_TIME]) for start in starts))
        columns = table.T.copy()  # the extremes of numbers beside each other take half the time
        total, count = columns.sum(axis=1), np.full(len(columns), float(len(table)))
        if not np.isnan(total).any():
            mean = total / max(1, len(table))
            low, high = columns.min(axis=1, initial=np.inf), columns.max(axis=1, initial=-np.inf)
            columns -= mean[:, np.newaxis]
            return Moments(count, mean, np.square(columns, out=columns).sum(axis=1), low, high)
        there = ~np.isnan(columns)
        total, count = columns.sum(axis=1, where=there), there.sum(axis=1, dtype=np.float64)
        mean = total / np.maximum(1, count)
        low, high = columns.min(axis=1, initial=np.inf, where=there), columns.max(axis=1, initial=-np.inf, where=there)
        return Moments(count, mean, np.square(columns - mean[:, np.newaxis]).sum(axis=1, where=there), low, high)

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both tables' rows (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
        count = self.count + other.count
        share, apart = other.count / np.maximum(1, count), other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * (self.count * share)
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Moments(count, self.mean + apart * share, squares, low, high)

    def __neg__(self) -> "Moments":
        """Return what takes these rows off when added to those of all, but for the range, which stays."""
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
    return mixed(rows.keys) < np.uint64(share * 2.0**64)


def baseline(counted: Baseline, moments: Moments, sample: Records, settings: JobSettings) -> Baseline:
    """Return `counted`, which has rows, labels and categories, with the statistics of each column of numbers.

    They are over the rows kept (all parts); `moments` are of the labels and the features, in this order. Percentiles
    and bins are of `sample`: all rows, or so many that a percentile's rank is off by no more than `rank_error` with
    99 % certainty (Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", 1990).
    """
    whole = len(sample) == moments.count[0]
    error = 0.0 if whole else math.sqrt(math.log(2 / (1 - CERTAINTY)) / (2 * max(1, len(sample))))
    document: Baseline = {**counted, "quantiles": {"rows": len(sample), "rank_error": error}}

    def feature(number: int) -> Distribution | Categories:
        name, imputed = settings.features[number], settings.imputed[number]
        if name in counted["features"]:
            return counted["features"][name]
        values = sample.features[:, number]
        found = _distribution(values[~np.isnan(values)] if imputed else values, moments, number + 1, whole)
        if imputed:
            found["missing"] = float(1 - moments.count[number + 1] / moments.count[0])
        return found

    found = parallel_map(feature, range(len(settings.features)))
    document["features"] = dict(zip(settings.features, found, strict=True))
    if not settings.classes:
        document["target"] = _distribution(sample.labels, moments, 0, whole)
    return document


def _distribution(values: Floats, moments: Moments, column: int, whole: bool) -> Distribution:
    found = distribution(values)
    if not whole:
        count = moments.count[column]
        found["count"] = int(count)
        found["mean"] = float(moments.mean[column])
        found["standard_deviation"] = math.sqrt(moments.squares[column] / max(1, count - 1))
        found["minimum"] = float(moments.low[column])
        found["maximum"] = float(moments.high[column])
    return found
