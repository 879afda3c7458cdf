"""From rows to scores and labels."""

from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.artifact import Model
from local_aws.linear_learner.common import Counts, Floats
from local_aws.linear_learner.hyperparameters import BINARY, MULTICLASS


@dataclass(frozen=True)
class Predictions:
    """`score` is (rows,), or (rows, classes) of a multiclass classifier; `label` is None of a regressor."""

    score: Floats
    label: Counts | None

    def records(self) -> list[str]:
        """JSON objects as the container writes them; a float32 widened to a double.

        Numbers are finite, so Python writes them as JSON does; json.dumps would take as long as everything else.
        """
        scores = self.score.tolist()
        if self.label is None:
            return [f'{{"score": {score}}}' for score in scores]
        pairs = zip(scores, self.label.tolist(), strict=True)
        return [f'{{"score": {score}, "predicted_label": {label}}}' for score, label in pairs]

    def columns(self) -> dict[str, Floats]:
        """The same as float32 arrays."""
        label = {} if self.label is None else {"predicted_label": self.label.astype(np.float32)}
        return {"score": self.score, **label}


def predict(model: Model, rows: Floats) -> Predictions:
    """Score rows of (rows, features) by one matrix product.

    Computed in float64, so that a row's score does not depend on the batch it is in; within a float32's rounding of
    what AWS computes.

    Raises:
        ValueError: A score is too large for a float32; `args` are the row, from 1, and what is wrong with it.
    """
    z = rows.astype(np.float64) @ model.weights.astype(np.float64) + model.bias
    if model.predictor_type == MULTICLASS:
        share = np.exp(z - z.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return Predictions(share.astype(np.float32), z.argmax(1))
    z = z[:, 0]
    if model.loss == "logistic":
        z = 0.5 + 0.5 * np.tanh(z / 2)
    huge = np.flatnonzero(np.abs(z) > np.finfo(np.float32).max)
    if len(huge):
        raise ValueError(int(huge[0]) + 1, "its score is too large for a float32")
    score = z.astype(np.float32)
    positive = None if model.threshold is None else (score >= np.float32(model.threshold)).astype(np.int64)
    return Predictions(score, positive if model.predictor_type == BINARY else None)
