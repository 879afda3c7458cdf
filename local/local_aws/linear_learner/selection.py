"""Selection of a packed model, and of the threshold from which a row is positive.

What differs by less than a standard error counts as equal (the one-standard-error rule of Breiman et al.,
"Classification and Regression Trees"): among equals the cut nearest to an even chance is taken, and the model of the
smallest loss. Without it, 100 validation rows choose a threshold that is worse on others than 0.5.

Both follow from two histograms a model, the scores of positive and of negative rows, in bins as fine as float16: so the
memory is the same whatever the number of rows. Scores are z, before the sigmoid.
"""

from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.common import Counts, Doubles, Floats
from local_aws.linear_learner.hyperparameters import Config

CRITERION = "binary_classifier_model_selection_criteria"
BINS = 1 << 16
_SIGN = np.uint16(BINS // 2)
_LARGEST = 6e4


@dataclass(frozen=True)
class Choice:
    """The best cut of one model: a row is positive from the score `cut` on; `value` is the criterion there.

    `error` is the standard error of the highest value that any cut reaches.
    """

    cut: float
    value: float
    error: float


class Histograms:
    """Counts of (models, label, bin) as rows stream by."""

    def __init__(self, models: int) -> None:
        self.counts = np.zeros((models, 2, BINS), np.int32)

    def add(self, scores: Floats, labels: Floats) -> None:
        """Scores (rows, models) with labels 0 or 1."""
        bits = np.clip(scores, -_LARGEST, _LARGEST).astype(np.float16).view(np.uint16)
        bits *= bits != _SIGN  # minus zero is zero
        # Ordered as the numbers are: negative ones, which have the first bit, run backwards.
        bits ^= (bits.view(np.int16) >> 15).view(np.uint16) | _SIGN
        places = np.ascontiguousarray(bits.T).astype(np.intp) + BINS * labels.astype(np.intp)
        for counts, of_model in zip(self.counts, places, strict=True):
            np.add.at(counts.reshape(-1), of_model, np.int32(1))

    def roc_auc(self, model: int) -> float:
        """The area under the ROC curve, ties counted half; 0.5 when a class is missing."""
        negative, positive = self.counts[model].astype(np.float64)
        below = np.cumsum(negative) - negative / 2
        pairs = negative.sum() * positive.sum()
        return float(positive @ below / pairs) if pairs else 0.5


def choose(counts: Counts, config: Config) -> Choice:
    """The best cut by the criterion, of equals the nearest to 0; `counts` is (label, bin) of one model."""
    occupied = np.flatnonzero(counts.any(0))
    negative, positive = counts[:, occupied].astype(np.float64)
    # Cut k: positive from the k-th occupied bin on; after the last one nothing is positive.
    true_positive = np.append(np.cumsum(positive[::-1])[::-1], 0)
    false_positive = np.append(np.cumsum(negative[::-1])[::-1], 0)
    values = _criterion(true_positive, false_positive, positive.sum(), negative.sum(), config)
    rows = float(counts.sum() if config[CRITERION] == "accuracy" else positive.sum()) + 4
    # Of Agresti and Coull, 1998: two successes and two failures more, so that 100 of 100 has an error too.
    share = (float(np.clip(values.max(), 0, 1)) * (rows - 4) + 2) / rows
    error = float(np.sqrt(share * (1 - share) / rows))
    equal = np.flatnonzero(values >= values.max() - error - 1e-12)
    half = np.where(occupied < BINS // 2, BINS - 1 - occupied, occupied - BINS // 2)
    scores = half.astype(np.uint16).view(np.float16).astype(np.float64)
    # A cut is anywhere between two scores: at 0 when they are on both sides of it, else midway.
    around = np.concatenate([scores[:1] - 1, scores, scores[-1:] + 1])
    lower, upper = around[:-1][equal], around[1:][equal]
    cuts = np.where((lower < 0) & (upper >= 0), 0.0, (lower + upper) / 2)
    nearest = int(np.argmin(np.abs(cuts)))
    return Choice(float(cuts[nearest]), float(values[equal[nearest]]), error)


def _criterion(
    true_positive: Doubles, false_positive: Doubles, positives: float, negatives: float, config: Config
) -> Doubles:
    """The criterion at each cut; where a target is missed, how far, below any that meets it."""
    predicted = true_positive + false_positive
    recall = true_positive / max(positives, 1)
    precision = np.where(predicted > 0, true_positive / np.maximum(predicted, 1), 0.0)
    match config[CRITERION]:
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
    score: Doubles = (1 + weight) * precision * recall / np.where(bottom > 0, bottom, 1.0)
    return score
