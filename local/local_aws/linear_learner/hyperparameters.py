"""The hyperparameters of the linear learner, checked as its JSON schema does ("Linear learner hyperparameters").

All values arrive as strings.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_aws.linear_learner.common import ClientError

Value = str | int | float | bool
Config = dict[str, Value]
AUTO = "auto"
BINARY, MULTICLASS, REGRESSOR = "binary_classifier", "multiclass_classifier", "regressor"
LOSSES = {
    BINARY: ("logistic", "hinge_loss"),
    MULTICLASS: ("softmax_loss",),
    REGRESSOR: (
        *("squared_loss", "absolute_loss", "eps_insensitive_squared_loss", "eps_insensitive_absolute_loss"),
        *("quantile_loss", "huber_loss"),
    ),
}
_FLAGS = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _is_within(value: float, span: str) -> bool:
    low, high = map(float, span[1:-1].split(","))
    return (low <= value if span[0] == "[" else low < value) and (value <= high if span[-1] == "]" else value < high)


@dataclass(frozen=True)
class Rule:
    """One hyperparameter: its default (None: required), and what is allowed in words, alternatives after ` | `."""

    default: Value | None
    allowed: str

    def read(self, text: str) -> Value | None:
        """The value of a string, None when it is not allowed.

        The SDK sends str(bool), "True"; the developer guide writes true.
        """
        for words in self.allowed.split(" | "):
            if words.startswith("an integer from "):
                low, _, high = words.removeprefix("an integer from ").partition(" to ")
                if _INTEGER.fullmatch(text) and int(low) <= int(text) <= int(high or text):
                    return int(text)
            elif words.startswith("a number in "):
                span = words.removeprefix("a number in ")
                if _NUMBER.fullmatch(text) and _is_within(float(text), span):
                    return float(text)
            elif text == words or (words in _FLAGS and text == words.capitalize()):
                return _FLAGS.get(words, words)
        return None


_TABLE = tomllib.loads(Path(__file__).with_name("hyperparameters.toml").read_text(encoding="utf-8"))
RULES = {name: Rule(rule.get("default"), rule["allowed"]) for name, rule in _TABLE.items()}
_OBJECTIVE = "_tuning_objective_metric"
# A tuning job passes its objective; the container has more of these (its log of 2020), none of which matters here.
_INTERNAL = {_OBJECTIVE, "_log_level", "_kvstore", "_num_kv_servers", "_num_gpus", "_enable_profiler"}


def checked(given: Mapping[str, object]) -> Config:
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
    if given.get(_OBJECTIVE):
        settled["num_models"] = 1  # whatever was given (Developer Guide, "Tune a linear learner model")
    return _consistent(settled, given)


def _consistent(config: Config, given: Mapping[str, object]) -> Config:
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
