"""Histograms of values at the places where a comparison needs them: those of batches add up, so no value is kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.documents import Distribution

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
