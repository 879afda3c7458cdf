"""Challenger against champion on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from bootstrap import Estimate
from metrics import LARGER_IS_BETTER

COMPARED = {"binary_classifier": "auc", "multiclass_classifier": "accuracy", "regressor": "rmse"}


def comparison(
    predictor_type: str, challenger: dict[str, Estimate], champion: dict[str, Estimate], confidence: float
) -> dict[str, Any]:
    """Return how much better the challenger is (positive: better, whichever way the metric goes), and the interval.

    The interval is the paired bootstrap's percentiles: both models are measured on the same resamples, so what makes a
    resample easy or hard cancels out (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    """
    metric = COMPARED[predictor_type]
    sign = 1 if metric in LARGER_IS_BETTER[predictor_type] else -1
    new, old = challenger[metric], champion[metric]
    differences = sign * (new.resamples - old.resamples)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(differences, [tail, 1 - tail])
    return {
        "metric": metric,
        "challenger": new.value,
        "champion": old.value,
        "difference": sign * (new.value - old.value),
        "interval": [float(low), float(high)],
        "confidence": confidence,
    }
