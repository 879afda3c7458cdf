"""The decision, which agrees with the workflow's QualityGate, and the comparison with the champion."""

import numpy as np
import pytest

from pipeline.jobs.evaluate.quality_gate import Estimate, compare, decide
from pipeline.jobs.shared.settings import GateSettings

GATE = GateSettings(minimum={"auc": 0.97}, maximum={"log_loss": 0.3}, margin=0.01, confidence=0.95)
PASSES = "passes every threshold of the quality gate"
MAYBE_WORSE = (
    "auc 0.98 may be worse than the champion's 0.99 by more than 0.01:"
    " the difference lies between -0.05 and 0.02 at 0.95"
)


@pytest.mark.parametrize(
    ("auc", "log_loss", "low", "accepted", "reason"),
    [
        (0.97, 0.3, None, True, f"{PASSES}; there is no champion"),
        (0.98, 0.1, -0.01, True, f"{PASSES} and is not worse than the champion by auc"),
        (0.9, 0.1, 0.0, False, "auc 0.9 is below 0.97"),
        (0.98, 0.5, 0.0, False, "log_loss 0.5 is above 0.3"),
        (0.9, 0.5, 0.0, False, "auc 0.9 is below 0.97; log_loss 0.5 is above 0.3"),
        (0.98, 0.1, -0.05, False, MAYBE_WORSE),
    ],
)
def test_a_challenger_that_passes_is_accepted_and_a_rejection_names_every_bound(
    auc, log_loss, low, *, accepted, reason
):
    estimates = {name: Estimate(value, np.array([value])) for name, value in (("auc", auc), ("log_loss", log_loss))}
    figures = {"metric": "auc", "challenger": 0.98, "champion": 0.99, "difference": -0.01}
    compared = {**figures, "interval": [low or 0.0, 0.02], "confidence": 0.95}
    decision = decide(GATE, estimates, None if low is None else compared)
    assert decision == {"accepted": accepted, "reason": reason}


def test_a_smaller_error_is_a_positive_difference():
    new = {"rmse": Estimate(2.0, np.array([2.0, 2.1, 1.9]))}
    old = {"rmse": Estimate(3.0, np.array([3.0, 3.1, 2.9]))}
    found = compare("regressor", new, old, 0.95)
    assert found["difference"] == 1
    assert found["interval"] == pytest.approx([1, 1])
