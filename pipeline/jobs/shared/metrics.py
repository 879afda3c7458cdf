"""The metrics of each predictor type, as functions of the weight of each row.

One function returns the metric itself (every weight 1) and all bootstrap resamples at a time (a row of weights each).
Where rows are too many for that, groups of rows have weights instead: a metric is then computed from each group's sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrow import Floats

Numbers = NDArray[Any]  # float64, or class numbers in the smallest integers that hold them
RowsByFile = dict[str, int]  # in the order of the files' names, which are relative to the directory that was read
Groups = NDArray[np.int64] | None
Measure = Callable[[Floats], dict[str, Floats]]
"""Weights of shape (resamples, rows or groups) in, metrics' values of shape (resamples,) out; NaN where undefined."""
BLOCK_ROWS = 1 << 18
SEED = 20180706
MOST_ROWS = 100_000  # the most rows that are resampled one by one: 200 resamples of them take a second
GROUPS = 10_000  # the spread of 10,000 groups is known to 0.7 %, a third of the error that 1000 resamples have


@dataclass(frozen=True)
class Predictions:
    """The model's answers in the order of the hold-out."""

    scores: Floats  # shape (rows,): the positive class's score or the predicted value; (rows, classes) for multiclass
    classes: Numbers | None  # shape (rows,): the predicted class number; None for regression
    rows_by_file: RowsByFile = field(default_factory=dict)

    def renumbered(self, numbers: Sequence[int] | None) -> "Predictions":
        """Return the answers with these numbers for the model's classes; None: as they are.

        If two classes change places, the score of the other one is the negative: of 1 less the score, small scores
        would become equal, and the order of rows would be another.
        """
        if self.classes is None or numbers is None or list(numbers) == sorted(numbers):
            return self
        scores = -self.scores if self.scores.ndim == 1 else self.scores[:, np.argsort(numbers)]
        return Predictions(scores, np.array(numbers, self.classes.dtype)[self.classes], self.rows_by_file)


def random_groups(rows: int) -> Groups:
    """Return the group of each row when rows are too many to be resampled one by one, else None.

    Groups are of equal size, give or take a row, and drawn at random; they depend on the number of rows alone. Sums
    over them are as independent as rows are, so a resample of groups spreads as one of rows does (the random groups of
    Wolter, "Introduction to Variance Estimation", 2007, chapter 2), at a cost that does not grow with the rows.
    """
    if rows <= MOST_ROWS:
        return None
    groups = np.arange(rows) % GROUPS
    np.random.default_rng(SEED).shuffle(groups)
    return groups


def measure_of(predictor_type: str, labels: Numbers, predictions: Predictions, groups: Groups = None) -> Measure:
    """Return what measures the predictions by row or by group; no log_loss unless the scores are probabilities."""
    size = _summed(np.ones(len(labels), np.int8), groups)
    if predictor_type == "regressor":
        return _regression(labels, predictions.scores, groups, size)
    metrics = (_binary if predictor_type == "binary_classifier" else _multiclass)(labels, predictions, groups, size)
    loss = _log_loss(predictions.scores, labels, groups)
    if loss is None:
        return metrics
    return lambda weights: {**metrics(weights), "log_loss": weights @ loss / (weights @ size)}


def _summed(values: NDArray[Any], groups: Groups) -> Floats:
    """Return each group's sum; without groups, the values."""
    return (values if groups is None else np.bincount(groups, values)).astype(np.float64, copy=False)


def _binary(labels: Numbers, predictions: Predictions, groups: Groups, size: Floats) -> Measure:
    scores, called, positive = predictions.scores, np.asarray(predictions.classes), labels == 1
    columns = (positive * called, called, positive, called == labels)
    sums = np.stack([_summed(column, groups) for column in columns], axis=1)
    areas = _areas(scores, positive) if groups is None else _areas_of_groups(scores, positive, groups)

    def measure(weights: Floats) -> dict[str, Floats]:
        (true_positive, calls, real, right), rows = (weights @ sums).T, weights @ size
        recall = _ratio(true_positive, real, np.nan)
        return {
            **areas(weights),
            "accuracy": right / rows,
            "balanced_accuracy": (recall + _ratio(right - true_positive, rows - real, np.nan)) / 2,
            "precision": _ratio(true_positive, calls, 0),
            "recall": recall,
            "f1": _ratio(2 * true_positive, real + calls, 0),
        }

    return measure


def _multiclass(labels: Numbers, predictions: Predictions, groups: Groups, size: Floats) -> Measure:
    numbers, called = range(predictions.scores.shape[1]), np.asarray(predictions.classes)
    both = np.stack([_summed((labels == n) & (called == n), groups) for n in numbers], axis=1)
    labelled, predicted = (np.stack([_summed(of == n, groups) for n in numbers], axis=1) for of in (labels, called))

    def measure(weights: Floats) -> dict[str, Floats]:
        hit, real, calls = weights @ both, weights @ labelled, weights @ predicted
        # As scikit-learn's default, the mean is over the classes that appear among labels or predictions.
        present = np.where(real + calls > 0, 1.0, np.nan)
        return {
            "accuracy": hit.sum(axis=1) / (weights @ size),
            "balanced_accuracy": np.nanmean(_ratio(hit, real, np.nan), axis=1),
            "macro_precision": np.nanmean(_ratio(hit, calls, 0) * present, axis=1),
            "macro_recall": np.nanmean(_ratio(hit, real, 0) * present, axis=1),
            "macro_f1": np.nanmean(_ratio(2 * hit, real + calls, 0) * present, axis=1),
        }

    return measure


def _regression(labels: Floats, scores: Floats, groups: Groups, size: Floats) -> Measure:
    error = scores - labels
    centred = labels - labels.mean()
    sums = np.stack([_summed(part, groups) for part in (error**2, np.abs(error), centred, centred**2)], axis=1)

    def measure(weights: Floats) -> dict[str, Floats]:
        square, absolute, mean, spread = (weights @ sums).T / (weights @ size)
        explained = 1 - _ratio(square, spread - mean**2, np.nan)
        return {"rmse": np.sqrt(square), "mae": absolute, "mse": square, "r2": explained}

    return measure


def _log_loss(scores: Floats, labels: Numbers, groups: Groups) -> Floats | None:
    if scores.min() < 0 or scores.max() > 1:
        return None
    # Clipped by float64's epsilon, as in scikit-learn's log_loss: the loss of a wrong score of 0 must be finite.
    epsilon = np.finfo(np.float64).eps
    loss = np.empty(len(labels))
    for start in range(0, len(labels), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        probabilities = np.stack([1 - scores[part], scores[part]], axis=1) if scores.ndim == 1 else scores[part]
        sure = np.clip(probabilities, epsilon, 1 - epsilon)
        sure /= sure.sum(axis=1, keepdims=True)
        loss[part] = -np.log(sure[np.arange(len(sure)), labels[part].astype(np.int64)])
    return _summed(loss, groups)


def _areas(scores: Floats, positive: NDArray[np.bool_]) -> Measure:
    """Area under the ROC curve as the Mann-Whitney U statistic, ties counting a half, and the average precision."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    is_positive = positive[order].astype(np.float64)

    def areas(weights: Floats) -> dict[str, Floats]:
        sorted_weights = weights[:, order]
        ups = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
        downs = np.add.reduceat(sorted_weights * (1 - is_positive), starts, axis=1)
        positives, negatives = ups.sum(axis=1), downs.sum(axis=1)
        below = np.cumsum(downs, axis=1)
        auc = _ratio((ups * (below - downs / 2)).sum(axis=1), positives * negatives, np.nan)
        # Of each score as a threshold: true positives, and all positive calls.
        hits = positives[:, None] - np.cumsum(ups, axis=1) + ups
        precision = _ratio(hits, hits + negatives[:, None] - below + downs, 0)
        return {"auc": auc, "pr_auc": _ratio((ups * precision).sum(axis=1), positives, np.nan)}

    return areas


def _areas_of_groups(scores: Floats, positive: NDArray[np.bool_], groups: Groups) -> Measure:
    """Both areas as means over rows, which sum by group.

    A row's placement is the share of the other class on its right side, ties counting a half: the area under the ROC
    curve is the mean of either class's. Resampled, its change is that of both means (DeLong, DeLong and Clarke-Pearson,
    "Comparing the areas under two or more correlated receiver operating characteristic curves", 1988), but for terms of
    1 / rows. The average precision's change is that of each row's influence on it, to the same order (Efron, "The
    jackknife, the bootstrap and other resampling plans", 1982, chapter 6).
    """
    order = np.argsort(scores)
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    repeats = np.diff(ends, prepend=-1)
    is_positive = positive[order]
    up_to = np.cumsum(is_positive)[ends]
    placed = np.repeat(_middles(ends + 1 - up_to), repeats)
    placed[~is_positive] = 1 - np.repeat(_middles(up_to), repeats)[~is_positive]
    # Of each score as a threshold: its positives, the precision, and all positive calls.
    ups = np.diff(up_to, prepend=0)
    calls = len(order) - ends - 1 + repeats
    precision = (up_to[-1] - up_to + ups) / calls
    # A row is a positive call of each threshold up to its own, where it moves the precision.
    gain, loss = np.cumsum(ups / calls), np.cumsum(ups * precision / calls)
    influence = is_positive * np.repeat(precision + gain, repeats) - np.repeat(loss, repeats)
    by_row = np.empty((len(order), 2))
    by_row[order] = np.stack([placed, influence], axis=1)
    placement, influences = by_row.T
    columns = (positive, placement * positive, ~positive, placement * ~positive, influences)
    sums = np.stack([_summed(column, groups) for column in columns], axis=1)
    area = sums[:, 1].sum() / sums[:, 0].sum()

    def areas(weights: Floats) -> dict[str, Floats]:
        up, up_placed, down, down_placed, influenced = (weights @ sums).T
        auc = _ratio(up_placed, up, np.nan) + _ratio(down_placed, down, np.nan) - area
        return {"auc": auc, "pr_auc": _ratio(influenced, up, np.nan)}

    return areas


def _middles(up_to: NDArray[np.int64]) -> Floats:
    """Return the share of rows below each step of a cumulative count, half of the step's own among them."""
    middles: Floats = up_to / (2 * up_to[-1])
    middles[1:] += middles[:-1].copy()
    return middles


def _ratio(part: Floats, whole: Floats, empty: float) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
