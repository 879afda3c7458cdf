import numpy as np
from sklearn import metrics as oracle

from pipeline.jobs.evaluate.profile import curves, profile
from pipeline.jobs.shared.metrics import Predictions


def test_curves_follow_scikit_learn_and_end_in_the_corner():
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 1000).astype(float)
    scores = (labels + generator.normal(0, 0.5, 1000)).round(1)
    found = curves(labels, scores)
    roc = found["receiver_operating_characteristic_curve"]
    false_rates, true_rates, _ = oracle.roc_curve(labels, scores, drop_intermediate=False)
    on_curve = {(round(f, 4), round(t, 4)) for f, t in zip(false_rates, true_rates, strict=True)}
    points = list(zip(roc["false_positive_rates"], roc["true_positive_rates"], strict=True))
    assert set(points) <= on_curve
    assert (points[0], points[-1], len(points) <= 50) == ((0, 0), (1, 1), True)
    precisions, recalls, _ = oracle.precision_recall_curve(labels, scores)
    known = {(round(p, 4), round(r, 4)) for p, r in zip(precisions, recalls, strict=True)}
    pairs = found["precision_recall_curve"]
    assert set(zip(pairs["precisions"], pairs["recalls"], strict=True)) <= known


def test_a_classifiers_profile_has_its_labels_and_a_histogram_by_the_true_label(settings):
    labels, scores = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.3, 0.6, 1.0])
    found = profile(labels, Predictions(scores, np.array([0.0, 0.0, 1.0, 1.0])), settings)
    assert found["labels"] == {"no": 2, "yes": 2}
    histogram = found["histogram"]
    assert (histogram["edges"][0], histogram["edges"][-1], len(histogram["edges"])) == (0.0, 1.0, 41)
    assert {name: sum(values) for name, values in histogram["counts"].items()} == {"no": 2, "yes": 2}
    assert found["score"]["mean"] == scores.mean()
