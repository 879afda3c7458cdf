"""The values of `auto` for the given data, and the grid of packed models."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.common import Floats
from local_aws.linear_learner.hyperparameters import AUTO, BINARY, MULTICLASS, REGRESSOR, Config

# The first of each is a model's when it is trained alone.
LEARNING_RATES = {"adam": (0.3, 0.1), "rmsprop": (0.03, 0.01), "sgd": (0.3, 0.1)}
# Times 1 / rows: so the first is scikit-learn's C = 1, or alpha = 1.
L2_PENALTIES = (1.0, 3.0, 10.0, 100.0)
L1_PENALTIES = (0.0, 1e-4, 1e-3, 1e-2)
PACKED = 32
MAX_WEIGHTS = 1 << 26
# An annealed rate ends here, as a share of what it was: a constant one was worse than scikit-learn on every seed.
ANNEALED = 1e-2


@dataclass(frozen=True)
class Grid:
    """The packed models' own settings, each an array of (models,)."""

    learning_rate: Floats
    wd: Floats
    l1: Floats
    positive_weight: Floats


def resolve(config: Config, features: int, rows: int) -> Config:
    """`config` without an `auto`, but for what the grid tries: learning_rate, wd, l1, positive_example_weight_mult.

    The fixed values are those of the container's logs of 2018 and 2020. The schedule is ours, AWS does not say what
    its `auto` comes to: the learning rate falls to a hundredth over the epochs, in a hundred steps or more.
    """
    regressor = config["predictor_type"] == REGRESSOR
    adaptive = config["optimizer"] in (AUTO, "adam")
    steps = math.ceil(rows / int(config["mini_batch_size"])) * int(config["epochs"])
    step, factor = config["lr_scheduler_step"], config["lr_scheduler_factor"]
    if step == AUTO:
        hundred = max(1, steps // 100)
        step = hundred if factor == AUTO else max(1, round(steps * math.log(float(factor)) / math.log(ANNEALED)))
    if factor == AUTO:
        factor = ANNEALED ** (int(step) / max(steps, int(step)))
    most = MAX_WEIGHTS // ((features + 1) * outputs(config))
    auto: Config = {
        "feature_dim": features,
        "optimizer": "adam",
        "beta_1": 0.9,
        "beta_2": 0.999,
        "momentum": 0.0,
        "bias_lr_mult": 10.0 if adaptive else 1.0,
        "bias_wd_mult": 0.0,
        "lr_scheduler_step": step,
        "lr_scheduler_factor": factor,
        "lr_scheduler_minimum_lr": 1e-5,
        "num_models": max(1, min(PACKED, most)),
        "num_calibration_samples": 10_000_000,
        "normalize_data": True,
        "normalize_label": regressor,
        "unbias_data": bool(config["use_bias"]),
        "unbias_label": regressor and bool(config["use_bias"]),
    }
    return {name: auto.get(name, value) if value == AUTO else value for name, value in config.items()}


def outputs(config: Config) -> int:
    """Scores of one model: one a class, or one."""
    return int(config["num_classes"]) if config["predictor_type"] == MULTICLASS else 1


def grid(config: Config, rows: int, class_rows: Floats) -> Grid:
    """The settings of each packed model, from a resolved configuration and the number of training rows.

    The user's values are the same in all of them. With fewer combinations than num_models, models differ only in their
    initial weights. `class_rows` are the training rows of each class; empty for a regressor.
    """
    weights: tuple[float, ...] = (1.0,)
    if config["predictor_type"] == BINARY:
        balanced = float(class_rows[0] / class_rows[1]) if class_rows.all() else 1.0
        asked = config["positive_example_weight_mult"]
        weights = (1.0, balanced) if asked == AUTO else (balanced if asked == "balanced" else float(asked),)

    def tried(name: str, values: tuple[float, ...]) -> tuple[float, ...]:
        return values if config[name] == AUTO else (float(config[name]),)

    points = itertools.product(
        tried("learning_rate", LEARNING_RATES[str(config["optimizer"])]),
        weights,
        tried("l1", L1_PENALTIES),
        tried("wd", tuple(penalty / rows for penalty in L2_PENALTIES)),
    )
    chosen = list(itertools.islice(itertools.cycle(points), int(config["num_models"])))
    rate, weight, l1, wd = np.array(chosen, np.float32).T
    return Grid(rate, wd, l1, weight)
