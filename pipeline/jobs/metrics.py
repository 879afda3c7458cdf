"""The metrics of each predictor type, as functions of how often each row counts.

One function gives the figure itself (every row once) and all bootstrap resamples at a time (a row of weights each).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from predictions import Predictions

Floats = NDArray[np.float64]
Measure = Callable[[Floats], dict[str, Floats]]
"""Weights of shape (resamples, rows) in, each metric's values of shape (resamples,) out; NaN where undefined."""

LARGER_IS_BETTER = {
    "binary_classifier": ("auc", "accuracy", "precision", "recall", "f1"),
    "multiclass_classifier": ("accuracy", "macro_precision", "macro_recall", "macro_f1"),
    "regressor": ("r2",),
}
"""The other metrics (log_loss, rmse, mae, mse) are better when smaller."""


def measure_of(predictor_type: str, labels: Floats, predictions: Predictions) -> Measure:
    """Return the function that measures these predictions.

    log_loss is left out when the scores are not probabilities (a hinge loss's are margins).
    """
    if predictor_type == "regressor":
        return _regression(labels, predictions.scores)
    assert predictions.classes is not None
    if predictor_type == "binary_classifier":
        return _binary(labels, predictions.scores, predictions.classes)
    return _multiclass(labels, predictions.scores, predictions.classes)


def _binary(labels: Floats, scores: Floats, called: Floats) -> Measure:
    positive = labels == 1
    shares = np.stack([positive * called, called, positive, called == labels], axis=1).astype(np.float64)
    loss = _log_loss(np.stack([1 - scores, scores], axis=1), labels)
    auc = _auc(scores, positive)

    def measure(weights: Floats) -> dict[str, Floats]:
        true_positive, calls, real, right = (weights @ shares).T
        values = {
            "auc": auc(weights),
            "accuracy": right / weights.sum(axis=1),
            "precision": _ratio(true_positive, calls, 0),
            "recall": _ratio(true_positive, real, np.nan),
            "f1": _ratio(2 * true_positive, real + calls, 0),
        }
        return values if loss is None else {**values, "log_loss": weights @ loss / weights.sum(axis=1)}

    return measure


def _multiclass(labels: Floats, scores: Floats, called: Floats) -> Measure:
    numbers = np.arange(scores.shape[1])
    real_of, called_as = labels[:, None] == numbers, called[:, None] == numbers
    both = (real_of & called_as).astype(np.float64)
    real_ones, called_ones = real_of.astype(np.float64), called_as.astype(np.float64)
    loss = _log_loss(scores, labels)

    def measure(weights: Floats) -> dict[str, Floats]:
        hit, real, calls = weights @ both, weights @ real_ones, weights @ called_ones
        # As scikit-learn's default, the mean is over the classes that appear among labels or predictions.
        seen = np.where(real + calls > 0, 1.0, np.nan)
        values = {
            "accuracy": hit.sum(axis=1) / weights.sum(axis=1),
            "macro_precision": np.nanmean(_ratio(hit, calls, 0) * seen, axis=1),
            "macro_recall": np.nanmean(_ratio(hit, real, 0) * seen, axis=1),
            "macro_f1": np.nanmean(_ratio(2 * hit, real + calls, 0) * seen, axis=1),
        }
        return values if loss is None else {**values, "log_loss": weights @ loss / weights.sum(axis=1)}

    return measure


def _regression(labels: Floats, scores: Floats) -> Measure:
    error = scores - labels
    centred = labels - labels.mean()
    sums = np.stack([error**2, np.abs(error), centred, centred**2], axis=1)

    def measure(weights: Floats) -> dict[str, Floats]:
        square, absolute, mean, spread = (weights @ sums).T / weights.sum(axis=1)
        return {
            "rmse": np.sqrt(square),
            "mae": absolute,
            "mse": square,
            "r2": 1 - _ratio(square, spread - mean**2, np.nan),
        }

    return measure


def _log_loss(probabilities: Floats, labels: Floats) -> Floats | None:
    if probabilities.min() < 0 or probabilities.max() > 1:
        return None
    # The clip is float64's epsilon, as scikit-learn's log_loss does: a wrong score of exactly 0 must not be infinite.
    epsilon = np.finfo(np.float64).eps
    sure = np.clip(probabilities, epsilon, 1 - epsilon)
    sure /= sure.sum(axis=1, keepdims=True)
    loss: Floats = -np.log(sure[np.arange(len(labels)), labels.astype(np.int64)])
    return loss


def _auc(scores: Floats, positive: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Area under the ROC curve as the Mann-Whitney U statistic, ties counting a half."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    is_positive = positive[order].astype(np.float64)

    def auc(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        ups = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
        downs = np.add.reduceat(sorted_weights * (1 - is_positive), starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs / 2
        pairs = ups.sum(axis=1) * downs.sum(axis=1)
        return _ratio((ups * below).sum(axis=1), pairs, np.nan)

    return auc


def _ratio(part: Floats, whole: Floats, empty: float) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
