"""Many linear models trained as one: their weights side by side, one matrix product per batch for all of them.

Model packing: Liberty et al., "Elastic Machine Learning Algorithms in Amazon SageMaker", SIGMOD 2020.
"""

import copy

import numpy as np

from local_aws.linear_learner.common import Floats
from local_aws.linear_learner.grid import Grid, outputs
from local_aws.linear_learner.hyperparameters import BINARY, MULTICLASS, Config
from local_aws.linear_learner.losses import objective

_EPSILON = np.float32(1e-8)
_RMSPROP_DECAY = np.float32(0.9)
# Squared losses have no bound on their gradient; beyond this length a step of sgd would run away.
_LONGEST_GRADIENT = np.float32(10)


class Pack:
    """`parameters` is (features + 1, outputs * models), the last row the biases; models vary fastest.

    The configuration is resolved. `class_rows` are the training rows of each class; empty for a regressor.
    """

    def __init__(self, config: Config, grid: Grid, class_rows: Floats, random: np.random.Generator) -> None:
        self.outputs, self.models = outputs(config), len(grid.wd)
        self._config = config
        self._objective = objective(config)
        self.class_weights = _class_weights(config, grid, class_rows)
        features = int(config["feature_dim"])
        shape = (features + 1, self.outputs * self.models)
        scale, sigma = np.float32(config["init_scale"]), float(config["init_sigma"])
        uniform = config["init_method"] == "uniform"
        initial = random.uniform(-scale, scale, shape) if uniform else random.normal(0, sigma, shape)
        self.parameters = initial.astype(np.float32)
        self.parameters[-1] = np.float32(config["init_bias"]) if config["use_bias"] else 0
        by_row = np.append(np.ones(features), float(config["bias_lr_mult"])).astype(np.float32)[:, None]
        self._highest = grid.learning_rate.max()
        self._rate = by_row * np.tile(grid.learning_rate, self.outputs)
        by_row[-1] = np.float32(config["bias_wd_mult"])
        self.wd = by_row * np.tile(grid.wd, self.outputs)
        by_row[-1] = 0
        self.l1 = by_row * np.tile(grid.l1, self.outputs)
        self._penalised = bool(self.wd.any()), bool(self.l1.any())
        self._steps = self._averaged = 0
        self._average = np.zeros_like(self.parameters)
        self._mean, self._square = np.zeros_like(self.parameters), np.zeros_like(self.parameters)

    def scores(self, x: Floats, parameters: Floats) -> Floats:
        """(rows, outputs, models) of rows without their label, but with the 1 for the bias."""
        z: Floats = x @ parameters
        return z.reshape(len(x), self.outputs, -1)

    def loss(self, rows: Floats, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Scores, the weighted loss (rows, models) and its derivative by the scores, of rows with their label."""
        scores = self.scores(rows[:, 1:], parameters)
        loss, slope = self._objective(scores, rows[:, 0])
        if self.class_weights is not None:
            weight = self.class_weights[rows[:, 0].astype(np.int64)]
            loss = loss * weight
            slope *= weight[:, None]
        return scores, loss, slope

    def step(self, rows: Floats) -> Floats:
        """Learn from one batch; returns the sum of its losses before that, (models,)."""
        loss, gradient = self.gradient(rows, self.parameters)
        if self._penalised[0]:
            gradient += self.wd * self.parameters
        if self._penalised[1]:
            gradient += self.l1 * np.sign(self.parameters)
        self._descend(gradient)
        self._averaged += 1
        self._average += (self.parameters - self._average) / np.float32(self._averaged)
        total: Floats = rows[:, -1] @ loss  # by the ones: six times as fast as a sum
        return total

    def average(self) -> Floats:
        """The mean of the parameters over the steps since this was last asked for: less noisy than the last of them.

        Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
        """
        self._averaged = 0
        return self._average.copy()

    def gradient(self, rows: Floats, parameters: Floats) -> tuple[Floats, Floats]:
        """The loss of each row and model, without the penalties, and the derivative of its mean by `parameters`."""
        _, loss, slope = self.loss(rows, parameters)
        slope = slope.reshape(len(rows), -1)
        gradient: Floats = rows[:, 1:].T @ slope
        if not self._config["use_bias"]:
            gradient[-1] = 0
        gradient *= np.float32(1 / len(rows))
        return loss, gradient

    def alone(self, model: int, parameters: Floats) -> "Pack":
        """One of the models with its part of `parameters`, to measure it."""
        single = copy.copy(self)
        single.models, single.parameters = 1, parameters[:, model :: self.models]
        if self.class_weights is not None:
            column = model % self.class_weights.shape[1]
            single.class_weights = self.class_weights[:, column : column + 1]
        return single

    def _descend(self, gradient: Floats) -> None:
        rate = self._rate * self._annealing() if self._config["use_lr_scheduler"] else self._rate
        self._steps += 1
        match self._config["optimizer"]:
            case "adam":
                first, second = float(self._config["beta_1"]), float(self._config["beta_2"])
                self._mean += np.float32(1 - first) * (gradient - self._mean)
                self._square += np.float32(1 - second) * (gradient * gradient - self._square)
                correction = np.sqrt(1 - second**self._steps) / (1 - first**self._steps)
                self.parameters -= rate * np.float32(correction) * self._mean / (np.sqrt(self._square) + _EPSILON)
            case "rmsprop":
                self._square += (1 - _RMSPROP_DECAY) * (gradient * gradient - self._square)
                self.parameters -= rate * gradient / (np.sqrt(self._square) + _EPSILON)
            case _:
                length = np.sqrt(np.sum(gradient * gradient, axis=0))
                gradient *= np.minimum(1, _LONGEST_GRADIENT / np.maximum(length, _EPSILON))
                self._mean = np.float32(self._config["momentum"]) * self._mean - rate * gradient
                self.parameters += self._mean

    def _annealing(self) -> np.float32:
        """What the schedule makes of the learning rate by now; never below lr_scheduler_minimum_lr."""
        factor, step = float(self._config["lr_scheduler_factor"]), int(self._config["lr_scheduler_step"])
        floor = float(self._config["lr_scheduler_minimum_lr"]) / float(self._highest)
        return np.float32(max(factor ** (self._steps // step), min(floor, 1.0)))


def _class_weights(config: Config, grid: Grid, class_rows: Floats) -> Floats | None:
    """(classes, models or 1): what a row of each class counts; None when all count the same."""
    if config["predictor_type"] == BINARY and (grid.positive_weight != 1).any():
        both: Floats = np.stack([np.ones_like(grid.positive_weight), grid.positive_weight])
        return both
    if config["predictor_type"] == MULTICLASS and config["balance_multiclass_weights"]:
        balanced: Floats = (class_rows.sum() / (len(class_rows) * np.maximum(class_rows, 1))).astype(np.float32)
        return balanced[:, None]
    return None
