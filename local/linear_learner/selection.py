"""Which of the packed models is kept, and from which score on a row counts as positive.

Both follow from two histograms a model, the scores of the positive and of the negative rows, in bins as fine as float16:
so the memory is the same whatever the number of rows. Scores are z, before the sigmoid.
"""

from dataclasses import dataclass

import numpy as np

from local.linear_learner.arrays import Counts, Doubles, Floats
from local.linear_learner.hyperparameters import Value

BINS = 1 << 16
_LARGEST = 6e4


@dataclass(frozen=True)
class Choice:
    """The best cut of one model: a row is positive from the score `cut` on; `value` is the criterion there."""

    cut: float
    value: float


class Histograms:
    """Counts of (models, label, bin) as rows stream by."""

    def __init__(self, models: int) -> None:
        self.counts: Counts = np.zeros((models, 2, BINS), np.int64)

    def add(self, scores: Floats, labels: Floats) -> None:
        """Scores (rows, models) with labels 0 or 1."""
        half = np.clip(scores, -_LARGEST, _LARGEST).astype(np.float16).view(np.uint16).astype(np.int32)
        # Ordered as the numbers are: negative ones, which have the first bit, run backwards.
        bins = np.where(half >= BINS // 2, BINS - 1 - half, half + BINS // 2)
        bins += BINS * labels.astype(np.int32)[:, None]
        for model, column in enumerate(bins.T):
            self.counts[model] += np.bincount(column, minlength=2 * BINS).reshape(2, BINS)

    def roc_auc(self, model: int) -> float:
        """The area under the ROC curve, ties counted half; 0.5 when a class is missing."""
        negative, positive = self.counts[model].astype(np.float64)
        below = np.cumsum(negative) - negative / 2
        pairs = negative.sum() * positive.sum()
        return float(positive @ below / pairs) if pairs else 0.5


def choose(counts: Counts, config: dict[str, Value]) -> Choice:
    """The cut that is best by the criterion; among equally good ones, in the gap between two scores, that nearest to 0.

    Args:
        counts: (label, bin) of one model.
        config: A resolved configuration.
    """
    occupied = np.flatnonzero(counts.any(0))
    negative, positive = counts[:, occupied].astype(np.float64)
    # Cut k: positive from the k-th occupied bin on; the last one: nothing is positive.
    true_positive = np.append(np.cumsum(positive[::-1])[::-1], 0)
    false_positive = np.append(np.cumsum(negative[::-1])[::-1], 0)
    values = _criterion(true_positive, false_positive, positive.sum(), negative.sum(), config)
    scores = _score_of(occupied)
    lower = np.append(-np.inf, scores)
    upper = np.append(scores, np.inf)
    best = np.flatnonzero(values >= values.max() - 1e-12)
    # A cut lies anywhere in (lower, upper]: at 0 when that is inside, else midway, so that neither score is near it.
    inside = (lower[best] < 0) & (upper[best] >= 0)
    middle = np.where(
        np.isinf(lower[best]),
        upper[best],
        np.where(np.isinf(upper[best]), lower[best] * 1.001 + 1e-3, (lower[best] + upper[best]) / 2),
    )
    cuts = np.where(inside, 0.0, middle)
    nearest = int(np.argmin(np.abs(cuts)))
    return Choice(float(cuts[nearest]), float(values[best[nearest]]))


def _criterion(
    true_positive: Doubles, false_positive: Doubles, positives: float, negatives: float, config: dict[str, Value]
) -> Doubles:
    """The criterion at each cut; where a target is missed, how far, below any that meets it."""
    predicted = true_positive + false_positive
    recall = true_positive / max(positives, 1)
    precision = np.where(predicted > 0, true_positive / np.maximum(predicted, 1), 0.0)
    match config["binary_classifier_model_selection_criteria"]:
        case "f_beta" | "f1" as name:
            beta = 1.0 if name == "f1" else float(config["f_beta"])
            return f_score(precision, recall, beta)
        case "precision_at_target_recall":
            target = float(config["target_recall"])
            return np.where(recall >= target, precision, recall - 1 - target)
        case "recall_at_target_precision":
            target = float(config["target_precision"])
            return np.where(precision >= target, recall, precision - 1 - target)
        case _:
            return (true_positive + negatives - false_positive) / max(positives + negatives, 1)


def f_score(precision: Doubles, recall: Doubles, beta: float) -> Doubles:
    """F beta, 0 where precision and recall are."""
    weight = beta * beta
    bottom = weight * precision + recall
    return (1 + weight) * precision * recall / np.where(bottom > 0, bottom, 1.0)


def _score_of(bins: Counts) -> Doubles:
    half = np.where(bins < BINS // 2, BINS - 1 - bins, bins - BINS // 2)
    return half.astype(np.uint16).view(np.float16).astype(np.float64)
