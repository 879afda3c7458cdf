"""How values are distributed: what later values are compared with, and what a report draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from job_settings import JobSettings
from numpy.typing import NDArray
from predictions import Predictions

Floats = NDArray[np.float64]
PERCENTS = np.arange(1, 100) / 100
DECILES = np.arange(1, 10) / 10
BARS = 40


def distribution(values: Floats) -> dict[str, Any]:
    """Return count, mean, spread, range, the 99 percentiles, and the counts between the deciles that differ.

    `bins` has one more count than edges: of the values up to each edge, and of those above the last.
    """
    values = np.sort(values)  # once: what follows is then several times as fast
    edges = np.unique(np.quantile(values, DECILES, method="lower"))
    edges = edges[edges < values.max()]
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "percentiles": [float(value) for value in np.quantile(values, PERCENTS)],
        "bins": {"edges": edges.tolist(), "counts": counts(values, edges)},
    }


def counts(values: Floats, edges: Floats) -> list[int]:
    """Return how many values lie up to each edge, and above the last."""
    places = np.searchsorted(edges, values, side="left")
    return [int(count) for count in np.bincount(places, minlength=len(edges) + 1)]


def profile(labels: Floats, answers: Predictions, settings: JobSettings) -> dict[str, Any]:
    """Return what the model answered on the hold-out: its label mix, its scores, and a histogram by the true label."""
    document: dict[str, Any] = {}
    if answers.classes is not None:
        document["labels"] = {
            name: int((answers.classes == number).sum()) for number, name in enumerate(settings.classes)
        }
    if answers.scores.ndim == 1:
        document["score"] = distribution(answers.scores)
    if settings.predictor_type == "binary_classifier":
        parts = {name: answers.scores[labels == number] for number, name in enumerate(settings.classes)}
        document["histogram"] = _histogram(parts, answers.scores)
    if settings.predictor_type == "regressor":
        errors = answers.scores - labels
        document["histogram"] = _histogram({"error": errors}, errors)
    return document


def _histogram(parts: dict[str, Floats], all_values: Floats) -> dict[str, Any]:
    """Scores that are probabilities have bars from 0 to 1."""
    low, high = float(all_values.min()), float(all_values.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    return {
        "edges": [float(edge) for edge in edges],
        "counts": {name: np.histogram(values, edges)[0].tolist() for name, values in parts.items()},
    }
