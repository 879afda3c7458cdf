import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.evaluate import quality_gate
from pipeline.jobs.evaluate.quality_gate import Estimate, bootstrap, compare, decide
from pipeline.jobs.shared.metrics import Predictions, measure_of
from pipeline.jobs.shared.settings import GateSettings

GATE = GateSettings(minimum={"auc": 0.97}, maximum={"log_loss": 0.3}, margin=0.01, confidence=0.95)

DECISIONS = tomllib.loads(Path(__file__).with_name("decisions.toml").read_text("utf-8"))["case"]


@pytest.mark.parametrize("case", DECISIONS, ids=[case["reason"] for case in DECISIONS])
def test_a_challenger_that_passes_is_accepted_and_a_rejection_names_every_bound(case):
    estimates = {name: Estimate(case[name], np.array([case[name]])) for name in ("auc", "log_loss")}
    figures = {"metric": "auc", "challenger": 0.98, "champion": 0.99, "difference": -0.01}
    compared = {**figures, "interval": [case.get("low"), 0.02], "confidence": 0.95} if "low" in case else None
    gate = replace(GATE, approve_incomparable=case.get("approve", False))
    decided = decide(gate, estimates, compared, case.get("incomparable"))
    assert decided == {key: case[key] for key in ("accepted", "reason", "comparable", "status") if key in case}


def test_a_smaller_error_is_a_positive_difference():
    new = {"rmse": Estimate(2.0, np.array([2.0, 2.1, 1.9]))}
    old = {"rmse": Estimate(3.0, np.array([3.0, 3.1, 2.9]))}
    found = compare("regressor", new, old, 0.95)
    assert found["difference"] == 1
    assert found["interval"] == pytest.approx([1, 1])


def test_the_interval_leaves_half_of_what_the_confidence_leaves_on_either_side():
    old, new = (Estimate(0.5, resamples) for resamples in (np.zeros(1001), np.linspace(0, 1, 1001)))
    for confidence, interval in ((0.95, [0.025, 0.975]), (0.5, [0.25, 0.75])):
        assert compare("regressor", {"rmse": old}, {"rmse": new}, confidence)["interval"] == pytest.approx(interval)


def test_the_bootstrap_knows_the_standard_error_of_a_share_and_repeats_itself():
    labels = (np.arange(400) % 2).astype(float)
    called = np.where(np.arange(400) < 320, labels, 1 - labels)
    measure = measure_of("binary_classifier", labels, Predictions(called, called))
    once = bootstrap(measure, 400)
    assert once["accuracy"].value == 0.8
    assert once["accuracy"].standard_deviation == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.1)
    assert len(once["accuracy"].resamples) == 1000
    np.testing.assert_array_equal(bootstrap(measure, 400)["auc"].resamples, once["auc"].resamples)


def test_the_size_of_a_batch_changes_no_resample(monkeypatch):
    numbers = np.arange(50.0)

    def measure(weights):
        return {"mean": weights @ numbers / 50}

    at_once = bootstrap(measure, 50)["mean"].resamples
    monkeypatch.setattr(quality_gate, "WEIGHTS_AT_A_TIME", 50 * 64)
    np.testing.assert_array_equal(bootstrap(measure, 50)["mean"].resamples, at_once)
    assert len(set(at_once)) > 300


def test_the_bootstrap_in_batches_is_bounded_and_keeps_200_resamples():
    largest = 0

    def measure(weights):
        nonlocal largest
        largest = max(largest, weights.size)
        return {"rows": weights.sum(axis=1)}

    found = bootstrap(measure, 150_000)["rows"]
    assert (len(found.resamples), set(found.resamples), largest <= 4_000_000) == (200, {150_000.0}, True)
