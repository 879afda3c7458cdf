"""What each hyperparameter does to the model: every loss with every optimizer, and none that is ignored."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_aws.linear_learner.hyperparameters import LOSSES, RULES

from .data import BINARY, HYPERPARAMETERS, MULTICLASS, REGRESSOR, Table, of_type
from .jobs import Unpacked, lay_out, trained, unpack

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(800, 4)) * [0.1, 1, 10, 100] + [0, 5, -20, 300]
SIGNAL = (X - X.mean(0)) / X.std(0) @ [2.0, -1.5, 1.0, 0.5]
NOISE = RANDOM.normal(size=800)
DATA = {
    BINARY: np.column_stack([SIGNAL + NOISE > 1.5, X]),
    MULTICLASS: np.column_stack([np.digitize(SIGNAL + NOISE, [-1.5, 2.5]), X]),
    REGRESSOR: np.column_stack([10 * SIGNAL + 3 * NOISE + 50, X]),
}


def log_of(root: Path, table: Table, **given: Any) -> str:
    """The log of a job with the last fourth of the rows as validation channel."""
    cut = len(table) * 3 // 4
    channels = {"train": table[:cut], "validation": table[cut:]}
    return trained(lay_out(root, channels, **{"mini_batch_size": 50} | given))


def model(root: Path, table: Table, **given: Any) -> Unpacked:
    log_of(root, table, **given)
    return unpack(root)


def validation(log: str) -> dict[str, float]:
    """The final metrics on the validation channel."""
    found = re.findall(r"#quality_metric: host=algo-1, validation (\S+) <(?:score|loss)>=(\S+)", log)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize("optimizer", ["auto", "sgd", "adam", "rmsprop"])
@pytest.mark.parametrize(("kind", "loss"), [(kind, loss) for kind, losses in LOSSES.items() for loss in losses])
def test_every_loss_is_learnt_with_every_optimizer(tmp_path: Path, kind: str, loss: str, optimizer: str) -> None:
    metrics = validation(log_of(tmp_path, DATA[kind], **of_type(kind), loss=loss, optimizer=optimizer))
    if kind == REGRESSOR:
        # The noise alone is 3, the labels' own deviation 27.
        assert metrics["rmse"] < 3.6
    else:
        assert metrics[{BINARY: "binary_classification_accuracy", MULTICLASS: "multiclass_accuracy"}[kind]] > 0.8


@pytest.mark.parametrize("case", HYPERPARAMETERS["middles"])
def test_a_regressors_loss_decides_which_middle_of_the_labels_it_finds(tmp_path: Path, case: dict[str, Any]) -> None:
    label = RANDOM.exponential(size=2000)
    given = of_type(REGRESSOR, mini_batch_size=100, epochs=30, **case["given"])
    trained(lay_out(tmp_path, {"train": np.column_stack([label, np.zeros(2000)])}, **given))
    expected = np.quantile(label, case["quantile"]) if "quantile" in case else label.mean()
    assert float(unpack(tmp_path).bias[0, 0]) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("criterion", RULES["binary_classifier_model_selection_criteria"].allowed.split(" | "))
def test_the_criterion_decides_the_threshold(tmp_path: Path, criterion: str) -> None:
    targets = {"target_recall": 0.97, "target_precision": 0.97}
    given = of_type(BINARY, binary_classifier_model_selection_criteria=criterion, **targets)
    metrics = validation(log_of(tmp_path, DATA[BINARY], **given))
    assert metrics["binary_classification_accuracy"] > 0.7
    match criterion:
        case "precision_at_target_recall":
            assert metrics["recall"] >= 0.97
        case "recall_at_target_precision":
            assert metrics["precision"] >= 0.97
        case "loss_function" | "cross_entropy_loss":
            assert unpack(tmp_path).additional["threshold"] == 0.5
        case _:
            assert metrics["binary_f_1.000"] > 0.7


def test_a_larger_beta_asks_for_more_recall(tmp_path: Path) -> None:
    given = of_type(BINARY) | {"binary_classifier_model_selection_criteria": "f_beta"}
    few, many = (validation(log_of(tmp_path, DATA[BINARY], **given, f_beta=beta)) for beta in (0.1, 10))
    assert few["recall"] < many["recall"]
    assert few["precision"] > many["precision"]
    assert {"binary_f_0.100"} == few.keys() - many.keys()


def test_heavier_positives_are_called_more_often(tmp_path: Path) -> None:
    table = DATA[BINARY]
    given = of_type(BINARY) | {"binary_classifier_model_selection_criteria": "loss_function"}

    def recall(weight: object) -> float:
        return validation(log_of(tmp_path, table, **given, positive_example_weight_mult=weight))["recall"]

    assert recall(0.1) < recall(1.0) < recall("balanced") < recall(100)
    assert unpack(tmp_path).additional["metrics_params"]["positive_example_weight_mult"] == 100


def test_balanced_classes_count_the_same(tmp_path: Path) -> None:
    table = DATA[MULTICLASS][DATA[MULTICLASS][:, 0] + RANDOM.random(800) * 2 > 1.6]
    plain, balanced = (
        validation(log_of(tmp_path, table, **of_type(MULTICLASS), balance_multiclass_weights=flag))
        for flag in (False, True)
    )
    assert plain["macro_recall"] < balanced["macro_recall"]
    count = np.bincount(table[: len(table) * 3 // 4, 0].astype(int))
    weights = unpack(tmp_path).additional["metrics_params"]["class_weights"]
    assert weights == pytest.approx((count.sum() / 3 / count).tolist(), rel=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_penalties_shrink_the_weights(tmp_path: Path, kind: str) -> None:
    scale = X.std(0)[:, None]
    free = model(tmp_path, DATA[kind], **of_type(kind), l1=0, wd=0)
    for penalty in ({"l1": 1000, "wd": 0}, {"l1": 0, "wd": 1000}):
        small = model(tmp_path, DATA[kind], **of_type(kind), **penalty)
        assert np.abs(small.weights * scale).max() < 0.1 * np.abs(free.weights * scale).max()


def test_weights_begin_as_the_init_hyperparameters_say(tmp_path: Path) -> None:
    table = np.column_stack([np.arange(40) % 2, RANDOM.normal(size=(40, 2000))])
    one = {"num_models": 1, "epochs": 1, "mini_batch_size": 20, "normalize_data": False, "unbias_data": False}
    still = of_type(BINARY, optimizer="sgd", learning_rate=1e-9, init_bias=3, **one)
    uniform = model(tmp_path, table, **still, init_scale=0.2)
    assert 0.19 < np.abs(uniform.weights).max() <= 0.2
    assert uniform.weights.std() == pytest.approx(0.2 / 3**0.5, rel=0.05)
    normal = model(tmp_path, table, **still, init_method="normal", init_sigma=0.5)
    assert normal.weights.std() == pytest.approx(0.5, rel=0.05)
    assert float(normal.bias[0, 0]) == pytest.approx(3, abs=1e-5)
    assert model(tmp_path, DATA[BINARY], **of_type(BINARY), use_bias=False, init_bias=3).bias.tolist() == [[0]]


@pytest.mark.parametrize("kind", LOSSES)
def test_normalising_is_folded_into_weights_for_raw_features(tmp_path: Path, kind: str) -> None:
    table = np.column_stack([DATA[kind][:, 0], (X - X.mean(0)) / X.std(0) * [1, 2, 0.5, 1] + 0.3])
    names = ("normalize_data", "unbias_data", "normalize_label", "unbias_label")
    given = [of_type(kind, **dict.fromkeys(names, flag)) for flag in (True, False)]
    scores = [model(tmp_path, table, **each).scores(table[:, 1:]) for each in given]
    assert np.abs(scores[0] - scores[1]).max() < 0.1 * np.ptp(scores[0])


def test_the_schedule_lowers_the_rate_to_its_minimum(tmp_path: Path) -> None:
    given = of_type(BINARY) | {"optimizer": "sgd", "num_models": 1, "learning_rate": 0.05, "wd": 0, "l1": 0}
    hasty = given | {"lr_scheduler_step": 1, "lr_scheduler_factor": 0.001}

    def length(**more: Any) -> float:
        return float(np.linalg.norm(model(tmp_path, DATA[BINARY], **more).weights * X.std(0)[:, None]))

    stopped, slow = length(**hasty, lr_scheduler_minimum_lr=1e-9), length(**hasty, lr_scheduler_minimum_lr=0.01)
    constant = length(**given, use_lr_scheduler=False)
    assert stopped < slow < constant


def test_training_stops_when_nothing_improves_by_the_tolerance(tmp_path: Path) -> None:
    given = of_type(REGRESSOR) | {"early_stopping_tolerance": 1e9, "early_stopping_patience": 2, "epochs": 50}
    log = log_of(tmp_path, DATA[REGRESSOR], **given)
    assert log.count("#progress_metric") == 3
    assert "Early stop condition met." in log


@pytest.mark.parametrize(("asked", "models"), [("auto", 32), ("1", 1), ("40", 40)])
def test_as_many_models_are_trained_at_once_as_asked_for(tmp_path: Path, asked: str, models: int) -> None:
    log = log_of(tmp_path, DATA[BINARY], **of_type(BINARY), num_models=asked, epochs=1)
    lines = [json.loads(line.removeprefix("#metrics ")) for line in log.splitlines() if line.startswith("#metrics ")]
    assert [line["Dimensions"]["model"] for line in lines] == 2 * list(range(models))


def test_calibration_looks_at_no_more_rows_than_asked_for(tmp_path: Path) -> None:
    table = DATA[BINARY].copy()
    # From the eleventh row on, the validation channel says the opposite.
    table[610:, 0] = 1 - table[610:, 0]
    given = of_type(BINARY) | {"binary_classifier_model_selection_criteria": "accuracy", "num_models": 1}
    few = validation(log_of(tmp_path, table, **given, num_calibration_samples=10))
    assert few["binary_classification_accuracy"] < 0.3
    # Of all rows two thirds are positive, and the scores do not separate the classes.
    assert validation(log_of(tmp_path, table, **given))["binary_classification_accuracy"] > 0.6


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"feature_dim"}))  # a wrong one is refused
def test_no_hyperparameter_is_ignored(tmp_path: Path, name: str) -> None:
    heeded = HYPERPARAMETERS["heeded"][name]
    kind, base, value = heeded["predictor_type"], heeded["given"], heeded["value"]

    def outcome(given: dict[str, Any]) -> tuple[Any, ...]:
        metrics = validation(log_of(tmp_path, DATA[kind], **(of_type(kind) | base | given)))
        made = unpack(tmp_path)
        return metrics, made.weights.tolist(), made.bias.tolist()

    assert outcome({}) != outcome({name: value})
