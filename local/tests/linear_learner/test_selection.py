"""Thresholds and the choice of a model against what trying every cut gives."""

from collections.abc import Callable

import numpy as np
import pytest
from local_aws.linear_learner.hyperparameters import checked
from local_aws.linear_learner.selection import Histograms, choose
from numpy.typing import NDArray
from sklearn.metrics import fbeta_score, precision_score, recall_score, roc_auc_score

RANDOM = np.random.default_rng(0)
LABELS = (RANDOM.random(2000) < 0.2).astype(np.float32)
SCORES = (RANDOM.normal(size=2000) * 2 + 3 * LABELS - 2).astype(np.float32)


def chosen(criterion: str, **more: str) -> tuple[float, float, float]:
    """Cut, value and error."""
    histograms = Histograms(1)
    histograms.add(SCORES[:1000, None], LABELS[:1000])
    histograms.add(SCORES[1000:, None], LABELS[1000:])
    given = {"predictor_type": "binary_classifier", "binary_classifier_model_selection_criteria": criterion}
    choice = choose(histograms.counts[0], checked({**given, **more}))
    return choice.cut, choice.value, choice.error


CRITERIA: dict[str, tuple[float, Callable[[NDArray[np.bool_]], float]]] = {
    "accuracy": (1e-3, lambda said: (said == LABELS).mean()),
    "f1": (3e-3, lambda said: fbeta_score(LABELS, said, beta=1.0)),
    "f_beta": (3e-3, lambda said: fbeta_score(LABELS, said, beta=2.0)),
}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_value_of_the_cut_is_correct_and_within_an_error_of_the_best(criterion: str) -> None:
    cut, value, error = chosen(criterion, f_beta="2.0")
    tolerance, score = CRITERIA[criterion]
    assert value == pytest.approx(score(cut <= SCORES), abs=tolerance)
    assert max(score(each <= SCORES) for each in np.sort(SCORES)[::10]) - error - tolerance <= value


def test_targets_are_met() -> None:
    cut, value, _ = chosen("precision_at_target_recall", target_recall="0.9")
    assert recall_score(LABELS, cut <= SCORES) >= 0.9
    assert value == pytest.approx(precision_score(LABELS, cut <= SCORES), abs=3e-3)
    cut, value, _ = chosen("recall_at_target_precision", target_precision="0.9")
    assert precision_score(LABELS, cut <= SCORES) >= 0.9
    assert value == pytest.approx(recall_score(LABELS, cut <= SCORES), abs=3e-3)


def test_an_even_chance_is_kept_where_nothing_is_better() -> None:
    histograms = Histograms(1)
    histograms.add(np.array([[-2.0], [-1.0], [0.5], [3.0]], np.float32), np.array([0, 0, 1, 1], np.float32))
    assert choose(histograms.counts[0], checked({"predictor_type": "binary_classifier"})).cut == 0.0


def test_the_area_under_the_curve_counts_ties_half() -> None:
    histograms = Histograms(2)
    rough = np.round(SCORES)
    histograms.add(np.column_stack([SCORES, rough]), LABELS)
    assert histograms.roc_auc(0) == pytest.approx(roc_auc_score(LABELS, SCORES), abs=1e-4)
    assert histograms.roc_auc(1) == pytest.approx(roc_auc_score(LABELS, rough), abs=1e-9)
