"""Every hyperparameter: its default, its refusals, and that any combination of valid ones trains."""

import contextlib
import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from local_aws.linear_learner import train
from local_aws.linear_learner.common import ClientError
from local_aws.linear_learner.hyperparameters import CRITERIA, LOSSES, RULES, checked

from .data import HYPERPARAMETERS
from .jobs import lay_out, unpack


def test_defaults_are_the_containers() -> None:
    assert checked({"predictor_type": "binary_classifier"}) == HYPERPARAMETERS["defaults"]


def test_booleans_are_read_as_the_sdk_and_as_the_guide_write_them() -> None:
    for text in ("True", "true"):
        assert checked({"predictor_type": "regressor", "use_bias": text, "unbias_data": text})["unbias_data"] is True
    assert checked({"predictor_type": "regressor", "use_bias": "False"})["use_bias"] is False


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mini_batch_siz": "5"}, "Additional properties are not allowed (u'mini_batch_siz' was unexpected)"),
        ({"b": "5", "a": "1"}, "Additional properties are not allowed (u'a', u'b' were unexpected)"),
        ({"epochs": "abc"}, "u'abc' is not valid under any of the given schemas: hyperparameter epochs is an integer"),
        ({"loss": "squared_loss"}, "hyperparameter loss is auto | logistic | hinge_loss for predictor_type binary_cl"),
        ({}, "u'predictor_type' is a required property"),
        ({"predictor_type": "multiclass_classifier"}, "u'num_classes' is a required property"),
        (
            {"predictor_type": "multiclass_classifier", "num_classes": "2"},
            "u'2' is not valid under any of the given schemas: hyperparameter num_classes is an integer from 3",
        ),
    ],
)
def test_refusals_are_in_the_containers_words(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ClientError) as refusal:
        checked({"predictor_type": "binary_classifier"} | wrong if wrong else {})
    assert message in str(refusal.value)


# What is just outside of each range; of a choice, a flag and a type anything else.
OUTSIDE = {
    name: values
    for names, values in (
        ("accuracy_top_k early_stopping_patience epochs feature_dim lr_scheduler_step", ["0", "-1", "1.5", "1e3"]),
        ("mini_batch_size num_calibration_samples num_classes num_models num_point_for_scaler", ["0", "-1", "1.5"]),
        ("bias_lr_mult early_stopping_tolerance f_beta init_scale init_sigma learning_rate", ["0", "-1e-9"]),
        ("loss_insensitivity lr_scheduler_minimum_lr positive_example_weight_mult", ["0", "-1e-9"]),
        ("bias_wd_mult huber_delta l1 margin wd", ["-1e-9"]),
        ("beta_1 beta_2 momentum", ["-1e-9", "1", "2"]),
        ("lr_scheduler_factor quantile target_precision target_recall", ["0", "1", "-0.5"]),
    )
    for name in names.split()
}
WRONG = st.text(max_size=8) | st.sampled_from(
    ["-inf", "nan", "inf", "1_0", "0x1", "yes", "٣", " 1", "1e999", "None", "TRUE"]
)


@given(st.sampled_from(sorted(RULES)), st.data())
def test_any_invalid_hyperparameter_is_refused(name: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(OUTSIDE[name]) if name in OUTSIDE and data.draw(st.booleans()) else WRONG)
    assume(not re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", value) or value in OUTSIDE.get(name, ()))
    words = RULES[name].allowed.split(" | ")
    assume(value not in {*words, *map(str.capitalize, words)})
    with pytest.raises(ClientError) as refusal:
        checked({"predictor_type": "binary_classifier", name: value})
    assert str(refusal.value).startswith(
        f"ClientError: u'{value}' is not valid under any of the given schemas: hyperparameter {name} is "
    )


@given(st.text().filter(lambda name: name not in RULES and not name.startswith("_")))
def test_any_unknown_hyperparameter_is_refused(name: str) -> None:
    with pytest.raises(ClientError) as refusal:
        checked({"predictor_type": "binary_classifier", name: "1"})
    assert str(refusal.value) == f"ClientError: Additional properties are not allowed (u'{name}' was unexpected)"


def number(low: float, high: float) -> st.SearchStrategy[str]:
    return st.floats(low, high).map(repr)


FLAG = st.sampled_from(["true", "False"])
FLAG_OR_AUTO = st.sampled_from(["true", "False", "auto"])
SHARE = number(0.01, 0.99)
VALID: dict[str, st.SearchStrategy[str]] = {
    name: strategy
    for strategy, names in (
        (FLAG, "balance_multiclass_weights use_bias use_lr_scheduler"),
        (FLAG_OR_AUTO, "normalize_data normalize_label unbias_data unbias_label"),
        (SHARE, "beta_1 beta_2 lr_scheduler_factor momentum quantile target_precision target_recall"),
        (number(0, 1), "l1 wd"),
        (number(1e-6, 1), "early_stopping_tolerance lr_scheduler_minimum_lr"),
        (number(1e-3, 1), "init_scale init_sigma loss_insensitivity"),
        (number(1e-5, 1), "learning_rate"),
        (number(0, 5), "huber_delta margin"),
        (number(0.1, 5), "f_beta"),
        (number(0, 10), "bias_wd_mult"),
        (number(0.1, 20), "bias_lr_mult"),
        (number(-10, 10), "init_bias"),
        (st.integers(1, 5).map(str), "accuracy_top_k early_stopping_patience"),
        (st.integers(1, 60).map(str), "mini_batch_size"),
        (st.integers(1, 100).map(str), "num_calibration_samples num_point_for_scaler"),
        (st.integers(1, 1000).map(str), "lr_scheduler_step"),
        (st.sampled_from(CRITERIA), "binary_classifier_model_selection_criteria"),
        (st.sampled_from(["auto", "3"]), "feature_dim"),
        (st.sampled_from(["uniform", "normal"]), "init_method"),
        (st.sampled_from(["auto", "1", "5", "40"]), "num_models"),
        (st.sampled_from(["auto", "sgd", "adam", "rmsprop"]), "optimizer"),
        (st.sampled_from(["balanced", "auto", "0.001", "1000"]), "positive_example_weight_mult"),
    )
    for name in names.split()
}


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, str]:
    kind = draw(st.sampled_from(sorted(LOSSES)))
    chosen = draw(st.lists(st.sampled_from(sorted(VALID)), unique=True))
    given = {"predictor_type": kind, "mini_batch_size": "20", "epochs": draw(st.sampled_from(["1", "3"]))}
    given |= {name: draw(VALID[name]) for name in chosen} | {"loss": draw(st.sampled_from(["auto", *LOSSES[kind]]))}
    return given | ({"num_classes": "3"} if kind == "multiclass_classifier" else {})


def assert_trains(hyperparameters: dict[str, str]) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 3)) * [1e-3, 1, 1e3]
    label = np.arange(60) % (3 if "num_classes" in hyperparameters else 2)
    folder = Path(tempfile.mkdtemp())
    try:
        lay_out(folder, {"train": np.column_stack([label, features])}, **hyperparameters)
        log = io.StringIO()
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            assert train.run(folder) == 0, log.getvalue()[-2000:]
        assert np.isfinite(unpack(folder).scores(features)).all()
    finally:
        shutil.rmtree(folder)


QUIET: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None}


@settings(max_examples=40, derandomize=True, **QUIET)
@given(jobs())
def test_valid_hyperparameters_train(hyperparameters: dict[str, str]) -> None:
    assert_trains(hyperparameters)


@pytest.mark.full
@pytest.mark.timeout(600)
@settings(max_examples=1000, **QUIET)
@given(jobs())
def test_any_valid_hyperparameters_train(hyperparameters: dict[str, str]) -> None:
    assert_trains(hyperparameters)
