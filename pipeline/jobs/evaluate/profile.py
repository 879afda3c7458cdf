"""The distribution of a model's answers on the hold-out, which the drift check and a report use."""

import numpy as np

from ..shared.arrow import Floats
from ..shared.distributions import distribution
from ..shared.documents import Profile
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
