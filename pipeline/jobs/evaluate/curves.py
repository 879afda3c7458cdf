"""The ROC and precision-recall curves, thinned to the points that a report draws."""

import numpy as np

from ..shared.arrow import Floats

POINTS = 50  # keeps the evaluation under 10 KB, far from the 256 KiB that a Step Functions state may hold


def curves(labels: Floats, scores: Floats) -> dict[str, dict[str, list[float]]]:
    """Return both curves from the strictest threshold to the loosest, in the model-quality schema's keys."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true_positives = np.cumsum(labels[order])[last_of_tie]
    calls = last_of_tie + 1.0
    recall = true_positives / true_positives[-1]
    false_rate = (calls - true_positives) / (len(labels) - true_positives[-1])
    # Even steps along the ROC curve keep its corner, where even steps over the thresholds would lose it.
    length = np.cumsum(np.diff(recall, prepend=0.0) + np.diff(false_rate, prepend=0.0))
    chosen = np.unique(np.searchsorted(length, np.linspace(length[0], length[-1], POINTS - 1)).clip(max=len(calls) - 1))
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": [0.0, *_short(false_rate[chosen])],
            "true_positive_rates": [0.0, *_short(recall[chosen])],
        },
        "precision_recall_curve": {
            "precisions": [1.0, *_short((true_positives / calls)[chosen])],
            "recalls": [0.0, *_short(recall[chosen])],
        },
    }


def _short(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]
