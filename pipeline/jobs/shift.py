"""How far values have moved from what they are compared with, and how far chance alone would move them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tally import Counts, Tally

Floats = NDArray[np.float64]


def psi(expected: Floats, actual: Floats) -> float:
    """Return the population stability index of two tables of counts; half a row is added to each, so none is empty."""
    before = (expected + 0.5) / (expected + 0.5).sum()
    after = (actual + 0.5) / (actual + 0.5).sum()
    return float(((after - before) * np.log(after / before)).sum())


def psi_by_chance(expected: Floats, actual: Floats, significance: float) -> float:
    """Return the index that samples of these sizes of one distribution stay below, but for `significance`.

    The index is then nearly (1/n + 1/m) times a chi-square variable (Yurdakul and Naranjo, "Statistical properties of
    the population stability index", 2020); its quantile is Wilson and Hilferty's.
    """
    free = max(1, len(expected) - 1)
    normal = NormalDist().inv_cdf(1 - significance)
    quantile = free * (1 - 2 / (9 * free) + normal * math.sqrt(2 / (9 * free))) ** 3
    return float(quantile * (1 / expected.sum() + 1 / actual.sum()))


def ks(percentiles: Floats, seen: Tally) -> float:
    """Return the Kolmogorov-Smirnov distance of what was seen from a distribution known by its 99 percentiles.

    At the k-th percentile the share of values up to it lies between k and k + 1 hundredths: the distance from there.
    Both sides of each percentile are looked at, since where percentiles repeat the distribution has a step.
    """
    places, farthest = np.unique(percentiles), 0.0
    sides: tuple[tuple[Literal["left", "right"], Counts], ...] = (("left", seen.below), ("right", seen.up_to))
    for side, counted in sides:
        share = counted / seen.count
        known = np.searchsorted(percentiles, places, side=side) / 100
        farthest = max(farthest, float(np.maximum(known - share, share - known - 0.01).max()))
    return farthest


def ks_by_chance(before: int, after: int, significance: float) -> float:
    """Return the distance that two samples of one distribution stay below (Smirnov's limit)."""
    return math.sqrt(-math.log(significance / 2) / 2 * (1 / before + 1 / after))


def moved(reference: dict[str, Any], seen: Tally, bounds: dict[str, float], significance: float) -> dict[str, Any]:
    """Return {psi, ks, reasons} of what was seen, a value at least, against the distribution it was counted by."""
    expected, actual = np.array(reference["bins"]["counts"], float), seen.bins.astype(float)
    index, distance = psi(expected, actual), ks(np.array(reference["percentiles"]), seen)
    highest = max(bounds["psi"], psi_by_chance(expected, actual, significance))
    farthest = max(bounds["ks"], ks_by_chance(int(expected.sum()), seen.count, significance))
    reasons = []
    if index > highest:
        reasons.append(f"PSI {index:.3g} is above {highest:.3g}")
    if distance > farthest:
        reasons.append(f"KS {distance:.3g} is above {farthest:.3g}")
    return {"psi": index, "ks": distance, "reasons": reasons}
