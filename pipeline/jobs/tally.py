"""Values counted where a comparison with a reference looks: counts of batches add up, so no value need be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """How many values there were, and where, of a distribution of `distributions.distribution`."""

    rows: int
    count: int
    """Of the rows, those with a finite value: the rest of the figures are of these."""
    outside: int
    """Values below the reference's minimum or above its maximum."""
    bins: Counts
    """Values by the reference's bins."""
    below: Counts
    """Values below each different percentile of the reference."""
    up_to: Counts
    """Values below it or equal to it."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in Tally.__dataclass_fields__))


def tally(reference: dict[str, Any], values: Floats) -> Tally:
    """Return the counts of values (shape (rows,), NaN where missing) against a reference distribution."""
    ordered = np.sort(values[np.isfinite(values)])
    places, edges = np.unique(reference["percentiles"]), reference["bins"]["edges"]
    inside = np.searchsorted(ordered, reference["maximum"], "right") - np.searchsorted(ordered, reference["minimum"])
    return Tally(
        rows=len(values),
        count=len(ordered),
        outside=len(ordered) - int(inside),
        bins=np.diff(np.searchsorted(ordered, edges, "right"), prepend=0, append=len(ordered)),
        below=np.searchsorted(ordered, places),
        up_to=np.searchsorted(ordered, places, "right"),
    )
