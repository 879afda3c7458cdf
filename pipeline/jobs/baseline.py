"""What the data looked like: the statistics that later data is compared with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from distributions import distribution
from job_settings import JobSettings
from moments import Moments
from numpy.typing import NDArray
from records import Floats, Records, mixed

SAMPLE_IN_MEMORY = 8
"""The sample is this part of the memory, at most."""
CERTAINTY = 0.99


def in_sample(rows: Records, read: int, settings: JobSettings) -> NDArray[np.bool_]:
    """Return which of the rows kept are sampled: all, while as many as were read fit into the sample's memory.

    Whether a row is sampled is decided by a hash of it (bottom-k sampling with a fixed bound: Cohen and Kaplan,
    "Summarizing data using bottom-k sketches", 2007): the sample is the same in any order and over any number of
    instances, and those of several instances are merged by taking their union.
    """
    share = settings.memory_bytes // SAMPLE_IN_MEMORY / (8 * rows.words.shape[1] * max(1, read))
    if share >= 1:
        return np.ones(len(rows), bool)
    # Keys decide the part, and repeated measurements share one: hence a hash of both.
    drawn: NDArray[np.bool_] = mixed(rows.keys ^ rows.labels.view(np.uint64)) < np.uint64(share * 2.0**64)
    return drawn


def baseline(
    rows: dict[str, int], counts: NDArray[np.int64], moments: Moments, sample: Records, settings: JobSettings
) -> dict[str, Any]:
    """Return counts of rows and labels, and each feature's statistics over the rows kept (all parts).

    Args:
        rows: Counts by name.
        counts: Kept rows by class.
        moments: Of the labels and the features, in this order.
        sample: The rows that percentiles and bins are of: all, or so many that a percentile's rank is off by no more
            than `rank_error` with 99 % certainty (Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz
            inequality", 1990).
        settings: The columns and classes.
    """
    whole = len(sample) == moments.count
    error = 0.0 if whole else math.sqrt(math.log(2 / (1 - CERTAINTY)) / (2 * max(1, len(sample))))
    document: dict[str, Any] = {
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


def _distribution(values: Floats, moments: Moments, column: int, whole: bool) -> dict[str, Any]:
    if whole:
        return distribution(values)
    spread = math.sqrt(moments.squares[column] / max(1, moments.count - 1))
    return distribution(values) | {
        "count": moments.count,
        "mean": float(moments.mean[column]),
        "standard_deviation": spread,
        "minimum": float(moments.low[column]),
        "maximum": float(moments.high[column]),
    }
