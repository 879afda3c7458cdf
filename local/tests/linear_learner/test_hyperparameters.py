"""Every hyperparameter: its default, its refusals, and that any combination of valid ones trains."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from local_aws.linear_learner.common import ClientError
from local_aws.linear_learner.hyperparameters import LOSSES, RULES, checked

from .data import HYPERPARAMETERS, examples
from .jobs import lay_out, trained, unpack


def test_defaults_are_the_containers() -> None:
    assert checked({"predictor_type": "binary_classifier"}) == HYPERPARAMETERS["defaults"]


def test_booleans_are_read_as_the_sdk_and_as_the_guide_write_them() -> None:
    for text in ("True", "true"):
        assert checked({"predictor_type": "regressor", "use_bias": text, "unbias_data": text})["unbias_data"] is True
    assert checked({"predictor_type": "regressor", "use_bias": "False"})["use_bias"] is False


@pytest.mark.parametrize("case", HYPERPARAMETERS["refused"])
def test_refusals_have_the_containers_messages(case: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refusal:
        checked(case["given"])
    assert case["message"] in str(refusal.value)


OUTSIDE = HYPERPARAMETERS["outside"]
ODD = ["-inf", "nan", "inf", "1_0", "0x1", "yes", "٣", " 1", "1e999", "None", "TRUE"]
WRONG = st.text(max_size=8) | st.sampled_from(ODD)


@given(st.sampled_from(sorted(RULES)), st.data())
def test_any_invalid_hyperparameter_is_refused(name: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(OUTSIDE[name]) if name in OUTSIDE and data.draw(st.booleans()) else WRONG)
    assume(not re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", value) or value in OUTSIDE.get(name, ()))
    words = RULES[name].allowed.split(" | ")
    assume(value not in {*words, *map(str.capitalize, words)})
    with pytest.raises(ClientError) as refusal:
        checked({"predictor_type": "binary_classifier", name: value})
    fault = f"is not valid under any of the given schemas: hyperparameter {name} is "
    assert str(refusal.value).startswith(f"ClientError: u'{value}' {fault}")


@given(st.text().filter(lambda name: name not in RULES and not name.startswith("_")))
def test_any_unknown_hyperparameter_is_refused(name: str) -> None:
    with pytest.raises(ClientError) as refusal:
        checked({"predictor_type": "binary_classifier", name: "1"})
    assert str(refusal.value) == f"ClientError: Additional properties are not allowed (u'{name}' was unexpected)"


def strategy(values: Any) -> st.SearchStrategy[str]:
    """The values of a hyperparameter in the table `valid`."""
    match values:
        case {"numbers": [low, high]}:
            return st.floats(low, high).map(repr)
        case {"integers": [low, high]}:
            return st.integers(low, high).map(str)
    return st.sampled_from(values)


VALID = {name: strategy(values) for name, values in HYPERPARAMETERS["valid"].items()}


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, str]:
    kind = draw(st.sampled_from(sorted(LOSSES)))
    chosen = draw(st.lists(st.sampled_from(sorted(VALID)), unique=True))
    given = {"predictor_type": kind, "mini_batch_size": "20", "epochs": draw(st.sampled_from(["1", "3"]))}
    given |= {name: draw(VALID[name]) for name in chosen} | {"loss": draw(st.sampled_from(["auto", *LOSSES[kind]]))}
    return given | ({"num_classes": "3"} if kind == "multiclass_classifier" else {})


@pytest.mark.parametrize("examples", examples(few=40, many=1000))
def test_any_valid_hyperparameters_train(tmp_path: Path, examples: settings) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3)) * [1e-3, 1, 1e3]

    @examples
    @given(jobs())
    def check(hyperparameters: dict[str, str]) -> None:
        label = np.arange(60) % (3 if "num_classes" in hyperparameters else 2)
        root = lay_out(tmp_path, {"train": np.column_stack([label, features])}, **hyperparameters)
        trained(root)
        assert np.isfinite(unpack(root).scores(features)).all()

    check()
