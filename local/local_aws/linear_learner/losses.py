"""Losses of packed models, and their derivatives by the scores.

Scores are z of shape (rows, outputs, models): one output, or one a class. Labels are y of shape (rows,). Each function
gives the loss (rows, models) and its derivative by z (rows, outputs, models).
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from local_aws.linear_learner.common import Floats
from local_aws.linear_learner.hyperparameters import Config

_FAR = np.float32(80)  # exp of it is a float32, and log(1 + exp) is the score itself from here on
Objective: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]


def logistic(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Cross entropy of labels 0 and 1: the logarithm of 1 + the odds of the other label."""
    sign = (1 - 2 * y).astype(np.float32)[:, None, None]
    wrong: Floats = z * sign
    odds: Floats = np.exp(np.minimum(wrong, _FAR))
    whole = odds + 1
    loss: Floats = np.log(whole)
    wrong -= _FAR
    loss += np.maximum(wrong, 0, out=wrong)
    odds /= whole
    odds *= sign
    return loss[:, 0], odds


def hinge(z: Floats, y: Floats, margin: float) -> tuple[Floats, Floats]:
    """max(0, margin - score), the score's sign being right when it is the label's."""
    sign = (2 * y - 1).astype(np.float32)[:, None, None]
    short = np.float32(margin) - sign * z
    return np.maximum(short, 0)[:, 0], np.where(short > 0, -sign, np.float32(0))


def softmax(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Cross entropy of classes 0 .. outputs - 1."""
    rows, classes = np.arange(len(y)), y.astype(np.int64)
    share = np.exp(z - z.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    loss = -np.log(np.maximum(share[rows, classes], np.float32(1e-30)))
    share[rows, classes] -= 1
    return loss, share


def _residual(z: Floats, y: Floats) -> Floats:
    return z - y.astype(np.float32)[:, None, None]


def squared(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The squared error; the derivative is of its half, as MXNet's LinearRegressionOutput has it."""
    error = _residual(z, y)
    return error[:, 0] ** 2, error


def absolute(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The absolute error."""
    error = _residual(z, y)
    return np.abs(error)[:, 0], np.sign(error)


def eps_insensitive(z: Floats, y: Floats, epsilon: float, square: bool) -> tuple[Floats, Floats]:
    """The absolute error beyond epsilon, or its square."""
    error = _residual(z, y)
    beyond: Floats = np.maximum(np.abs(error) - np.float32(epsilon), 0)
    loss, slope = (np.square(beyond), beyond) if square else (beyond, np.sign(beyond))
    return loss[:, 0], slope * np.sign(error)


def quantile(z: Floats, y: Floats, share: float) -> tuple[Floats, Floats]:
    """The pinball loss: `share` of the labels are to lie below the score (Koenker and Bassett, 1978).

    The developer guide says "above"; the SDK's documentation and the usual definition say "below".
    """
    error = _residual(z, y)
    slope = np.where(error > 0, np.float32(1 - share), np.float32(-share))
    return (slope * error)[:, 0], slope


def huber(z: Floats, y: Floats, delta: float) -> tuple[Floats, Floats]:
    """Half the squared error up to delta, linear beyond."""
    error = _residual(z, y)
    clipped = np.clip(error, np.float32(-delta), np.float32(delta))
    return (clipped * (error - clipped / 2))[:, 0], clipped


def objective(config: Config) -> Objective:
    """The loss that the hyperparameters ask for."""
    epsilon = float(config["loss_insensitivity"])
    table: dict[str, Objective] = {
        "logistic": logistic,
        "hinge_loss": partial(hinge, margin=float(config["margin"])),
        "softmax_loss": softmax,
        "squared_loss": squared,
        "absolute_loss": absolute,
        "eps_insensitive_squared_loss": partial(eps_insensitive, epsilon=epsilon, square=True),
        "eps_insensitive_absolute_loss": partial(eps_insensitive, epsilon=epsilon, square=False),
        "quantile_loss": partial(quantile, share=float(config["quantile"])),
        "huber_loss": partial(huber, delta=float(config["huber_delta"])),
    }
    return table[str(config["loss"])]
