"""A model's answers on the hold-out, as the drift check and a report use them: distributions and curves."""

import numpy as np

from ..shared.arrow import Floats
from ..shared.documents import Profile, distribution
from ..shared.metrics import Predictions
from ..shared.settings import JobSettings

BARS = 40
POINTS = 50  # keeps the evaluation under 10 KB, far from the 256 KiB that a Step Functions state may hold


def profile(labels: Floats, answers: Predictions, settings: JobSettings) -> Profile:
    """Return the rows by predicted class, and the scores' distribution and histogram (regression: the errors')."""
    document: Profile = {}
    if answers.classes is not None:
        called = answers.classes
        document["labels"] = {name: int((called == n).sum()) for n, name in enumerate(settings.classes)}
    if answers.scores.ndim == 1:
        document["score"] = distribution(answers.scores)
    if settings.predictor_type == "multiclass_classifier":
        return document
    values = answers.scores if settings.classes else answers.scores - labels
    parts = {name: values[labels == number] for number, name in enumerate(settings.classes)} or {"error": values}
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:  # as probabilities are
        low, high = 0.0, 1.0
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    counts = {name: np.histogram(of_part, edges)[0].tolist() for name, of_part in parts.items()}
    document["histogram"] = {"edges": edges.tolist(), "counts": counts}
    return document


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
