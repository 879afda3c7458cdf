"""The distribution of a model's answers on the hold-out, which the drift check and a report use."""

import numpy as np

from ..shared.arrow import Floats
from ..shared.distributions import distribution
from ..shared.documents import Profile, ScoreHistogram
from ..shared.metrics import Predictions
from ..shared.settings import JobSettings

BARS = 40


def profile(labels: Floats, answers: Predictions, settings: JobSettings) -> Profile:
    """Return the rows by predicted class, the distribution of scores, and their histogram by the true label.

    For regression the histogram is of the errors.
    """
    document: Profile = {}
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


def _histogram(parts: dict[str, Floats], all_values: Floats) -> ScoreHistogram:
    """Scores that are probabilities have bars from 0 to 1."""
    low, high = float(all_values.min()), float(all_values.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    return {
        "edges": edges.tolist(),
        "counts": {name: np.histogram(values, edges)[0].tolist() for name, values in parts.items()},
    }
