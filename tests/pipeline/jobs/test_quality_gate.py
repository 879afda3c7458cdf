"""The decision, which agrees with the workflow's QualityGate, and the comparison with the champion."""

import numpy as np
import pytest

from pipeline.jobs.evaluate.bootstrap import Estimate
from pipeline.jobs.evaluate.quality_gate import compare, decide
from pipeline.jobs.shared.documents import Comparison
from pipeline.jobs.shared.settings import GateSettings

GATE = GateSettings(minimum={"auc": 0.97}, maximum={"log_loss": 0.3}, margin=0.01, confidence=0.95)


def estimates(auc: float, log_loss: float) -> dict[str, Estimate]:
    return {"auc": Estimate(auc, np.array([auc])), "log_loss": Estimate(log_loss, np.array([log_loss]))}


def compared(low: float, high: float) -> Comparison:
    return Comparison(
        metric="auc", challenger=0.98, champion=0.99, difference=-0.01, interval=[low, high], confidence=0.95
    )


def test_a_first_model_within_the_bounds_is_accepted():
    assert decide(GATE, estimates(0.97, 0.3), None) == {
        "accepted": True,
        "reason": "passes every threshold of the quality gate; there is no champion",
    }


def test_a_challenger_not_worse_by_more_than_the_margin_is_accepted():
    assert decide(GATE, estimates(0.98, 0.1), compared(-0.01, 0.02)) == {
        "accepted": True,
        "reason": "passes every threshold of the quality gate and is not worse than the champion by auc",
    }


@pytest.mark.parametrize(
    ("auc", "log_loss", "low", "reason"),
    [
        (0.9, 0.1, 0.0, "auc 0.9 is below 0.97"),
        (0.98, 0.5, 0.0, "log_loss 0.5 is above 0.3"),
        (0.9, 0.5, 0.0, "auc 0.9 is below 0.97; log_loss 0.5 is above 0.3"),
        (
            0.98,
            0.1,
            -0.05,
            "auc 0.98 may be worse than the champion's 0.99 by more than 0.01:"
            " the difference lies between -0.05 and 0.02 at 0.95",
        ),
    ],
)
def test_a_rejection_names_every_bound_that_is_broken(auc, log_loss, low, reason):
    assert decide(GATE, estimates(auc, log_loss), compared(low, 0.02)) == {"accepted": False, "reason": reason}


def test_a_smaller_error_is_a_positive_difference():
    new = {"rmse": Estimate(2.0, np.array([2.0, 2.1, 1.9]))}
    old = {"rmse": Estimate(3.0, np.array([3.0, 3.1, 2.9]))}
    found = compare("regressor", new, old, 0.95)
    assert found["difference"] == 1
    assert found["interval"] == pytest.approx([1, 1])
