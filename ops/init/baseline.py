"""What a linear model reaches on a table, by cross-validation here and now: the thresholds of the quality gate."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from ops.init.columns import Column, Target

Floats = NDArray[np.float64]

MOST_ROWS, DRAWS = 10_000, 200
FOLDS = 3  # two thirds of the rows are about what the pipeline trains on
HOLDOUT = 0.2
LEAK = 0.99


@dataclass(frozen=True)
class Gate:
    """Thresholds, the margin against a champion, and what the linear model and a constant answer reach by metric."""

    minimum: dict[str, float]
    maximum: dict[str, float]
    margin: float
    linear: dict[str, float]
    constant: dict[str, float]


def gate_of(columns: Sequence[Column], target: Target) -> Gate:
    """Return a gate that an honest model passes on a hold-out of a fifth of these rows, and a constant answer does not.

    A threshold is what the linear model reaches on all but the worst of such hold-outs, less a tenth of what it is
    better than a constant answer by.
    """
    chosen = np.flatnonzero(target.known)
    generator = np.random.default_rng(0)
    total = len(chosen)
    if len(chosen) > MOST_ROWS:
        chosen = np.sort(generator.choice(chosen, MOST_ROWS, replace=False))
    labels = target.values[chosen]
    scores = _scores(_matrix(columns, chosen), labels, target)
    measure = _regression if target.type == "regressor" else _classes
    linear = measure(labels, scores, len(target.labels))
    constant = measure(labels, _constant(labels, scores), len(target.labels))
    size = max(5, min(int(total * HOLDOUT), MOST_ROWS))
    draws = [measure(labels[rows], scores[rows], len(target.labels)) for rows in _holdouts(labels, size, generator)]
    minimum, maximum = {}, {}
    for name in {"regressor": ("r2", "rmse"), "binary_classifier": ("auc", "accuracy")}.get(target.type, ("accuracy",)):
        falling = name == "rmse"
        worst = float(np.quantile([draw[name] for draw in draws], 0.995 if falling else 0.005))
        # The pipeline's model is not exactly this one.
        allowed = worst - (linear[name] - constant[name]) * 0.1
        if falling:
            if allowed < constant[name]:
                maximum[name] = _rounded(allowed, up=True)
        elif allowed > constant[name] or name in ("auc", "r2"):
            minimum[name] = _rounded(max(allowed, constant[name], 0.0), up=False)
    if not minimum and not maximum:
        minimum["accuracy"] = _rounded(constant["accuracy"], up=False)
    compared = {"regressor": "rmse", "binary_classifier": "auc"}.get(target.type, "accuracy")
    spread = float(np.std([draw[compared] for draw in draws]))
    margin = float(f"{max(spread, 1e-3):.1g}")
    return Gate(minimum, maximum, margin, linear, constant)


def _rounded(value: float, *, up: bool) -> float:
    digits = 2 - int(np.floor(np.log10(abs(value)))) if abs(value) >= 1 else 3
    step = 10.0 ** -max(0, digits)
    return round(float((np.ceil if up else np.floor)(value / step) * step), max(0, digits))


def _matrix(columns: Sequence[Column], rows: NDArray[np.int64]) -> Floats:
    """Return the features as numbers of mean 0 and deviation 1: levels one-hot, gaps filled in and marked."""
    made = []
    for column in columns:
        values = column.values[rows]
        missing = np.isnan(values)
        if column.kind == "categorical":
            made += [values == level for level in range(len(column.levels))]
        else:
            filled = np.where(missing, np.median(values[~missing]) if not missing.all() else 0.0, values)
            made.append(filled)
        if missing.any():
            made.append(missing)
    matrix = np.stack(made, axis=1).astype(np.float64)
    deviation = matrix.std(axis=0)
    return np.asarray((matrix - matrix.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


def _scores(matrix: Floats, labels: Floats, target: Target) -> Floats:
    """Return what a linear model answers for each row that it has not seen: a number, or a probability per class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if target.type == "regressor":
            folds = KFold(FOLDS, shuffle=True, random_state=0)
            return np.asarray(cross_val_predict(Ridge(1.0), matrix, labels, cv=folds))
        model = LogisticRegression(C=1.0, max_iter=200)
        stratified = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        return np.asarray(cross_val_predict(model, matrix, labels, cv=stratified, method="predict_proba"))


def _constant(labels: Floats, scores: Floats) -> Floats:
    """Return the answers of a model that has seen no feature: the mean, or the classes' shares."""
    if scores.ndim == 1:
        return np.full(len(labels), labels.mean())
    shares = np.bincount(labels.astype(np.int64), minlength=scores.shape[1]) / len(labels)
    return np.tile(shares, (len(labels), 1))


def _holdouts(labels: Floats, size: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return random rows as large as a hold-out, with at least two different labels in each."""
    drawn = (generator.choice(len(labels), min(size, len(labels)), replace=size > len(labels)) for _ in range(DRAWS))
    return [rows for rows in drawn if len(np.unique(labels[rows])) > 1]


def _regression(labels: Floats, scores: Floats, _classes: int) -> dict[str, float]:
    error = float(((labels - scores) ** 2).mean())
    return {"r2": 1 - error / max(float(labels.var()), 1e-300), "rmse": error**0.5}


def _classes(labels: Floats, scores: Floats, classes: int) -> dict[str, float]:
    right = {"accuracy": float((scores.argmax(axis=1) == labels).mean())}
    return right | ({"auc": auc(labels == 1, scores[:, 1])} if classes == 2 else {})


def auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Return the area under the ROC curve: the chance that a positive row has the higher score."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = int(positive.sum())
    zeros = len(positive) - ones
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / max(1, ones * zeros))


def leak_of(column: Column, target: Target) -> str:
    """Return a sentence when a column alone predicts the target."""
    known = target.known & ~np.isnan(column.values)
    values, labels = column.values[known], target.values[known]
    if len(values) < 20 or len(np.unique(values)) < 2:
        return ""
    if target.type == "regressor":
        if column.kind == "categorical":
            return ""
        found = abs(float(np.corrcoef(values, labels)[0, 1])) if labels.std() > 0 else 0.0
        return f"correlation {found:.3f} with the target" if found > 0.995 else ""
    groups = values
    if column.kind == "numeric" and len(np.unique(values)) > 30:
        groups = np.searchsorted(np.quantile(values, np.linspace(0, 1, 31)[1:-1]), values).astype(np.float64)
    table = np.zeros((len(np.unique(groups)), len(target.labels)))
    np.add.at(table, (np.unique(groups, return_inverse=True)[1], labels.astype(np.int64)), 1)
    right, most = float(table.max(axis=1).sum() / len(labels)), float(table.sum(axis=0).max() / len(labels))
    return f"it alone tells the target in {right:.1%} of the rows" if right >= LEAK and right - most > 0.02 else ""
