"""Distances between distributions (PSI, KS), and their limits; from counts, which add up, so no value is kept."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.documents import Categories, Distribution, Drift
from ..shared.encoder import MISSING
from ..shared.settings import DriftSettings

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """Counts of values, by the places of a reference distribution."""

    rows: int
    count: int  # rows with a finite value: the counts below are of these
    outside: int  # values below the reference's minimum or above its maximum
    bins: Counts  # values by the reference's bins
    below: Counts  # values below each different percentile of the reference
    up_to: Counts  # values below it or equal to it

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def histogram(reference: Distribution, values: Floats) -> Histogram:
    """Return the histogram of values (shape (rows,), NaN where missing) against a reference distribution."""
    ordered = np.sort(values[np.isfinite(values)])
    places, edges = np.unique(reference["percentiles"]), reference["bins"]["edges"]
    inside = np.searchsorted(ordered, reference["maximum"], "right") - np.searchsorted(ordered, reference["minimum"])
    return Histogram(
        rows=len(values),
        count=len(ordered),
        outside=len(ordered) - int(inside),
        bins=np.diff(np.searchsorted(ordered, edges, "right"), prepend=0, append=len(ordered)),
        below=np.searchsorted(ordered, places),
        up_to=np.searchsorted(ordered, places, "right"),
    )


@dataclass(frozen=True)
class LevelCounts:
    """Counts of a categorical or boolean feature's values, by the levels of a reference."""

    rows: int
    count: int  # rows with a value
    outside: int  # values that no row of the reference has
    levels: Counts  # values by the reference's levels

    def __add__(self, other: "LevelCounts") -> "LevelCounts":
        return LevelCounts(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def level_counts(reference: Categories, values: Floats) -> LevelCounts:
    """Return the counts of values as the encoder reads them: places of levels, or 0 and 1 of a boolean feature."""
    present = values[~(np.isnan(values) | (values == MISSING))]
    levels = np.bincount(present[present >= 0].astype(np.int64), minlength=len(reference["levels"]))
    known = np.array([*reference["levels"].values()]) > 0
    return LevelCounts(len(values), len(present), len(present) - int(levels[known].sum()), levels)


def psi(expected: Floats, actual: Floats) -> float:
    """Return the population stability index of two tables of counts; half a row is added to each, so none is empty."""
    before = (expected + 0.5) / (expected + 0.5).sum()
    after = (actual + 0.5) / (actual + 0.5).sum()
    return float(((after - before) * np.log(after / before)).sum())


def psi_limit(expected: Floats, actual: Floats, significance: float) -> float:
    """Return the index that samples of these sizes of one distribution stay below, except for `significance`.

    The index is then nearly (1/n + 1/m) times a chi-square variable (Yurdakul and Naranjo, "Statistical properties of
    the population stability index", 2020); its quantile is Wilson and Hilferty's.
    """
    free = max(1, len(expected) - 1)
    normal = NormalDist().inv_cdf(1 - significance)
    quantile = free * (1 - 2 / (9 * free) + normal * math.sqrt(2 / (9 * free))) ** 3
    return float(quantile * (1 / expected.sum() + 1 / actual.sum()))


def ks(percentiles: Floats, values: Histogram) -> float:
    """Return the Kolmogorov-Smirnov distance of values from a distribution known by its 99 percentiles.

    At the k-th percentile the share of values up to it lies between k and k + 1 hundredths: the distance from there.
    Both sides of each percentile count, since where percentiles repeat the distribution has a step.
    """
    places = np.unique(percentiles)
    below, up_to = np.searchsorted(percentiles, places, "left"), np.searchsorted(percentiles, places, "right")
    known, share = np.stack([below, up_to]) / 100, np.stack([values.below, values.up_to]) / values.count
    return float(np.maximum(known - share, share - known - 0.01).max(initial=0.0))


def ks_limit(before: int, after: int, significance: float) -> float:
    """Return the distance that two samples of one distribution stay below (Smirnov's limit)."""
    return math.sqrt(-math.log(significance / 2) / 2 * (1 / before + 1 / after))


def share_limit(share: float, before: float, after: int, significance: float) -> float:
    """Return the distance of two shares that samples of these sizes of one population stay below."""
    normal = NormalDist().inv_cdf(1 - significance / 2)
    return normal * math.sqrt(share * (1 - share) * (1 / before + 1 / after))


def measure(reference: Distribution, values: Histogram, thresholds: DriftSettings, significance: float) -> Drift:
    """Return {psi, ks, reasons} of values, at least one, against the reference of their histogram."""
    expected, actual = np.array(reference["bins"]["counts"], float), values.bins.astype(float)
    index, distance = psi(expected, actual), ks(np.array(reference["percentiles"]), values)
    highest = max(thresholds.psi, psi_limit(expected, actual, significance))
    farthest = max(thresholds.ks, ks_limit(int(expected.sum()), values.count, significance))
    limits = (("PSI", index, highest), ("KS", distance, farthest))
    reasons = [f"{name} {found:.3g} is above {limit:.3g}" for name, found, limit in limits if found > limit]
    return {"psi": index, "ks": distance, "reasons": reasons}


def measure_levels(
    reference: Categories, values: LevelCounts, thresholds: DriftSettings, rare: int, significance: float
) -> Drift:
    """Return {psi, counts, reasons} of values, at least one, against the reference of their counts.

    Levels with fewer than `rare` rows in the reference, and unknown ones, are one place of the index, as they are one
    column of the model; missing values are another.
    """
    known, missing = np.array([*reference["levels"].values()], float), reference["missing"]
    absent = known.sum() * missing / (1 - missing)
    unknown = values.count - values.levels.sum()
    common = known >= rare
    table = np.array(
        [
            [*known[common], known[~common].sum(), absent],
            [*values.levels[common], values.levels[~common].sum() + unknown, values.rows - values.count],
        ]
    )
    expected, actual = table[:, table.any(axis=0)]
    index = psi(expected, actual)
    highest = max(thresholds.psi, psi_limit(expected, actual, significance))
    return {
        "psi": index,
        "counts": dict(zip(reference["levels"], values.levels.tolist(), strict=True)),
        "reasons": [f"PSI {index:.3g} is above {highest:.3g}"] if index > highest else [],
    }
