"""The hyperparameters of the linear learner, checked as its JSON schema does ("Linear learner hyperparameters").

Defaults are those that the container prints as its default configuration. All values arrive as strings.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_aws.linear_learner.common import ClientError

Value = str | int | float | bool
AUTO = "auto"
BINARY, MULTICLASS, REGRESSOR = "binary_classifier", "multiclass_classifier", "regressor"
LOSSES = {
    BINARY: ("logistic", "hinge_loss"),
    MULTICLASS: ("softmax_loss",),
    REGRESSOR: (
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
}
_TARGETS = ("precision_at_target_recall", "recall_at_target_precision")
CRITERIA = ("accuracy", "f1", "f_beta", *_TARGETS, "cross_entropy_loss", "loss_function")
MAX_CLASSES = 1_000_000
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """One hyperparameter: its default (None: required), how a string becomes its value, what is allowed in words."""

    default: Value | None
    read: Callable[[str], Value | None]
    allowed: str


def _choice(default: str | None, *names: str) -> Rule:
    return Rule(default, lambda text: text if text in names else None, " | ".join(names))


def _flag(default: Value, *more: str) -> Rule:
    """The SDK sends str(bool), "True"; the developer guide writes true."""
    read = {"true": True, "false": False} | {name: name for name in more}
    return Rule(default, ({"True": True, "False": False} | read).get, " | ".join(read))


def _integer(default: Value, *more: str, low: int = 1, high: int | None = None) -> Rule:
    def read(text: str) -> Value | None:
        if text in more:
            return text
        good = _INTEGER.fullmatch(text) and low <= int(text) and (high is None or int(text) <= high)
        return int(text) if good else None

    span = f"an integer from {low}" + (f" to {high}" if high else "")
    return Rule(default, read, " | ".join([*more, span]))


def _number(default: Value, span: str, *more: str) -> Rule:
    """`span` is an interval in mathematicians' notation, such as "(0, 1)" or "[0, inf)"."""
    low, high = (float(end) for end in span.strip("()[]").split(","))

    def read(text: str) -> Value | None:
        if text in more:
            return text
        if not _NUMBER.fullmatch(text):
            return None
        value = float(text)
        above = value >= low if span[0] == "[" else value > low
        below = value <= high if span[-1] == "]" else value < high
        return value if above and below else None

    return Rule(default, read, " | ".join([*more, f"a number in {span}"]))


RULES: dict[str, Rule] = {
    "predictor_type": _choice(None, BINARY, MULTICLASS, REGRESSOR),
    "num_classes": _integer(1, high=MAX_CLASSES),
    "feature_dim": _integer(AUTO, AUTO),
    "accuracy_top_k": _integer(3),
    "balance_multiclass_weights": _flag(False),
    "beta_1": _number(AUTO, "[0, 1)", AUTO),
    "beta_2": _number(AUTO, "[0, 1)", AUTO),
    "bias_lr_mult": _number(AUTO, "(0, inf)", AUTO),
    "bias_wd_mult": _number(AUTO, "[0, inf)", AUTO),
    "binary_classifier_model_selection_criteria": _choice("accuracy", *CRITERIA),
    "early_stopping_patience": _integer(3),
    "early_stopping_tolerance": _number(0.001, "(0, inf)"),
    "epochs": _integer(15),
    "f_beta": _number(1.0, "(0, inf)"),
    "huber_delta": _number(1.0, "[0, inf)"),
    "init_bias": _number(0.0, "(-inf, inf)"),
    "init_method": _choice("uniform", "uniform", "normal"),
    "init_scale": _number(0.07, "(0, inf)"),
    "init_sigma": _number(0.01, "(0, inf)"),
    "l1": _number(AUTO, "[0, inf)", AUTO),
    "learning_rate": _number(AUTO, "(0, inf)", AUTO),
    "loss": _choice(AUTO, AUTO, *(name for names in LOSSES.values() for name in names)),
    "loss_insensitivity": _number(0.01, "(0, inf)"),
    "lr_scheduler_factor": _number(AUTO, "(0, 1)", AUTO),
    "lr_scheduler_minimum_lr": _number(AUTO, "(0, inf)", AUTO),
    "lr_scheduler_step": _integer(AUTO, AUTO),
    "margin": _number(1.0, "[0, inf)"),
    "mini_batch_size": _integer(1000),
    "momentum": _number(AUTO, "[0, 1)", AUTO),
    "normalize_data": _flag(True, AUTO),
    "normalize_label": _flag(AUTO, AUTO),
    "num_calibration_samples": _integer(10_000_000, AUTO),
    "num_models": _integer(AUTO, AUTO),
    "num_point_for_scaler": _integer(10_000),
    "optimizer": _choice(AUTO, AUTO, "sgd", "adam", "rmsprop"),
    "positive_example_weight_mult": _number(1.0, "(0, inf)", AUTO, "balanced"),
    "quantile": _number(0.5, "(0, 1)"),
    "target_precision": _number(0.8, "(0, 1)"),
    "target_recall": _number(0.8, "(0, 1)"),
    "unbias_data": _flag(AUTO, AUTO),
    "unbias_label": _flag(AUTO, AUTO),
    "use_bias": _flag(True),
    "use_lr_scheduler": _flag(True),
    "wd": _number(AUTO, "[0, inf)", AUTO),
}
# A tuning job passes its objective; the container has more of these (its log of 2020), none of which matters here.
_INTERNAL = {"_tuning_objective_metric", "_log_level", "_kvstore", "_num_kv_servers", "_num_gpus", "_enable_profiler"}


def checked(given: Mapping[str, object]) -> dict[str, Value]:
    """Defaults merged with what was given, each as its own type; "auto" stays.

    Raises ClientError: an unknown name, a value out of its range, or a required one missing.
    """
    unknown = sorted(set(given) - set(RULES) - _INTERNAL)
    if unknown:
        names = ", ".join(f"u'{name}'" for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise ClientError(f"Additional properties are not allowed ({names} {verb} unexpected)")
    config = {name: rule.default for name, rule in RULES.items()}
    for name in given.keys() - _INTERNAL:
        value = RULES[name].read(str(given[name]))
        if value is None:
            raise _refusal(name, given[name], RULES[name].allowed)
        config[name] = value
    settled = {name: value for name, value in config.items() if value is not None}
    if len(settled) < len(config):
        raise ClientError("u'predictor_type' is a required property")
    return _consistent(settled, given)


def _consistent(config: dict[str, Value], given: Mapping[str, object]) -> dict[str, Value]:
    """What one hyperparameter asks of another; an `auto` loss becomes its predictor type's own."""
    kind = str(config["predictor_type"])
    losses = LOSSES[kind]
    if config["loss"] == AUTO:
        config["loss"] = losses[0]
    if config["loss"] not in losses:
        raise _refusal("loss", config["loss"], " | ".join((AUTO, *losses)) + f" for predictor_type {kind}")
    if kind == MULTICLASS:
        if "num_classes" not in given:
            raise ClientError("u'num_classes' is a required property for predictor_type multiclass_classifier")
        if int(config["num_classes"]) < 3:
            raise _refusal("num_classes", given["num_classes"], "an integer from 3 to 1000000")
    return config


def _refusal(name: str, value: object, allowed: str) -> ClientError:
    return ClientError(f"u'{value}' is not valid under any of the given schemas: hyperparameter {name} is {allowed}")
