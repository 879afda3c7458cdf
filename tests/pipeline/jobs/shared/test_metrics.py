"""Every metric against scikit-learn's, with each row counting as often as a bootstrap resample may draw it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sklearn import metrics as oracle

from pipeline.jobs.evaluate.quality_gate import bootstrap
from pipeline.jobs.shared.metric_names import METRICS
from pipeline.jobs.shared.metrics import GROUPS, MOST_ROWS, Predictions, measure_of, random_groups


def draw(seed, classes):
    """Labels with every class present, scores with ties, weights 0 to 3 with every class drawn."""
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(classes * 2, 60))
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)]).astype(float)
    weights = generator.integers(0, 4, rows).astype(float)
    weights[:classes] = 1
    return generator, labels, weights


def binary(generator, labels, weights):
    scores = np.clip(labels * 0.2 + generator.integers(0, 9, len(labels)) / 10, 0, 1)
    called = (scores > 0.55).astype(float)
    return Predictions(scores, called), {
        "auc": oracle.roc_auc_score(labels, scores, sample_weight=weights),
        "pr_auc": oracle.average_precision_score(labels, scores, sample_weight=weights),
        "accuracy": oracle.accuracy_score(labels, called, sample_weight=weights),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, called, sample_weight=weights),
        "precision": oracle.precision_score(labels, called, sample_weight=weights, zero_division=0),
        "recall": oracle.recall_score(labels, called, sample_weight=weights),
        "f1": oracle.f1_score(labels, called, sample_weight=weights, zero_division=0),
        "log_loss": oracle.log_loss(labels, scores, sample_weight=weights),
    }


def multiclass(generator, labels, weights):
    scores = generator.dirichlet(np.ones(4), len(labels))
    called = scores.argmax(axis=1).astype(float)
    options = {"sample_weight": weights, "average": "macro", "zero_division": 0}
    names = ("macro_precision", "macro_recall", "macro_f1")
    return Predictions(scores, called), {
        "accuracy": oracle.accuracy_score(labels, called, sample_weight=weights),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, called, sample_weight=weights),
        **dict(zip(names, oracle.precision_recall_fscore_support(labels, called, **options), strict=False)),
        "log_loss": oracle.log_loss(labels, scores, sample_weight=weights),
    }


def regression(generator, labels, weights):
    labels += 1000 + generator.normal(size=len(labels))
    values = labels + generator.normal(size=len(labels))
    mse = oracle.mean_squared_error(labels, values, sample_weight=weights)
    return Predictions(values, None), {
        "rmse": np.sqrt(mse),
        "mae": oracle.mean_absolute_error(labels, values, sample_weight=weights),
        "mse": mse,
        "r2": oracle.r2_score(labels, values, sample_weight=weights),
    }


@pytest.mark.parametrize(
    ("answer", "classes", "tolerance"),
    [(binary, 2, {"abs": 1e-12}), (multiclass, 4, {"abs": 1e-12}), (regression, 2, {"rel": 1e-9})],
)
@profile(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_metrics_agree_with_scikit_learn_and_have_the_tables_names(answer, classes, tolerance, seed):
    generator, labels, weights = draw(seed, classes)
    predictions, expected = answer(generator, labels, weights)
    predictor_type = {binary: "binary_classifier", multiclass: "multiclass_classifier", regression: "regressor"}[answer]
    found = measure_of(predictor_type, labels, predictions)(weights[None, :])
    assert {name: float(values[0]) for name, values in found.items()} == pytest.approx(expected, **tolerance)
    assert set(expected) == set(sum(METRICS[predictor_type], ()))


def test_scores_that_are_no_probabilities_have_no_log_loss():
    labels = np.array([0.0, 1, 1])
    found = measure_of("binary_classifier", labels, Predictions(np.array([-2, 0.5, 3]), labels))(np.ones((1, 3)))
    assert "log_loss" not in found
    assert found["auc"] == 1


@pytest.mark.parametrize("predictor_type", METRICS)
def test_resamples_of_random_groups_spread_as_those_of_rows(predictor_type):
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 2, 4000).astype(float)
    scores = np.clip(0.3 + 0.4 * labels + generator.normal(0, 0.3, 4000), 0.01, 0.99).round(2)
    called = (scores > 0.4).astype(float)
    table = np.stack([1 - scores, scores], axis=1) if predictor_type == "multiclass_classifier" else scores
    answers, groups = Predictions(table, called), generator.permutation(4000) % 1000
    by_row = bootstrap(measure_of(predictor_type, labels, answers), 4000)
    by_group = bootstrap(measure_of(predictor_type, labels, answers, groups), 1000)
    for name, estimate in by_row.items():
        assert by_group[name].value == pytest.approx(estimate.value, rel=1e-12)
        assert by_group[name].standard_deviation == pytest.approx(estimate.standard_deviation, rel=0.1)


def test_rows_are_put_in_groups_of_one_size_when_they_are_many():
    assert random_groups(MOST_ROWS) is None
    groups = random_groups(MOST_ROWS + 1)
    assert sorted(np.bincount(groups)) == [10] * (GROUPS - 1) + [11]
    np.testing.assert_array_equal(groups, random_groups(MOST_ROWS + 1))


def test_resamples_without_a_class_do_not_count():
    labels = np.array([0.0, 1.0])
    estimate = bootstrap(measure_of("binary_classifier", labels, Predictions(labels, labels)), 2)["auc"]
    assert np.isnan(estimate.resamples).any()
    assert (estimate.value, estimate.standard_deviation) == (1.0, 0.0)
