"""Distributions of values, and of what a model answered."""

import numpy as np
from distributions import counts, distribution, profile
from predictions import Predictions


def test_values_with_few_steps_have_no_empty_bins():
    found = distribution(np.array([0.0] * 90 + [1.0] * 10))
    assert found["bins"] == {"edges": [0.0], "counts": [90, 10]}
    assert sum(found["bins"]["counts"]) == found["count"] == 100


def test_a_value_at_an_edge_counts_below_it():
    assert counts(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0])) == [3, 1]


def test_a_classifiers_profile_has_its_labels_and_a_histogram_by_the_true_label(settings):
    labels, scores = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.3, 0.6, 1.0])
    found = profile(labels, Predictions(scores, np.array([0.0, 0.0, 1.0, 1.0])), settings)
    assert found["labels"] == {"no": 2, "yes": 2}
    histogram = found["histogram"]
    assert (histogram["edges"][0], histogram["edges"][-1], len(histogram["edges"])) == (0.0, 1.0, 41)
    assert {name: sum(values) for name, values in histogram["counts"].items()} == {"no": 2, "yes": 2}
    assert found["score"]["mean"] == scores.mean()
