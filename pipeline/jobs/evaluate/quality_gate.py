"""The quality gate: thresholds of metrics, and the comparison with the champion on the same rows.

The workflow's state QualityGate applies the same rule.
"""

import numpy as np

from ..shared.documents import Comparison, Decision
from ..shared.metric_names import COMPARED_BY, METRICS
from ..shared.settings import GateSettings
from .bootstrap import Estimate


def compare(
    predictor_type: str, challenger: dict[str, Estimate], champion: dict[str, Estimate], confidence: float
) -> Comparison:
    """Return how much better the challenger is (positive: better, whichever way the metric goes), and the interval.

    The interval is the paired bootstrap's percentiles: both models are measured on the same resamples, so what makes a
    resample easy or hard cancels out (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    """
    metric = COMPARED_BY[predictor_type]
    larger_is_better, _ = METRICS[predictor_type]
    sign = 1 if metric in larger_is_better else -1
    new, old = challenger[metric], champion[metric]
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(sign * (new.resamples - old.resamples), [tail, 1 - tail])
    return {
        "metric": metric,
        "challenger": new.value,
        "champion": old.value,
        "difference": sign * (new.value - old.value),
        "interval": [float(low), float(high)],
        "confidence": confidence,
    }


def decide(gate: GateSettings, estimates: dict[str, Estimate], compared: Comparison | None) -> Decision:
    """Return the decision: every threshold passed, and the challenger not worse than the champion by more than margin.

    The second is a non-inferiority test: the interval of the paired difference must end above minus the margin.
    """
    broken = gate.breaches({name: estimate.value for name, estimate in estimates.items()})
    if compared is not None and compared["interval"][0] < -gate.margin:
        broken.append(
            f"{compared['metric']} {compared['challenger']:.4g} may be worse than the champion's"
            f" {compared['champion']:.4g} by more than {gate.margin:g}: the difference lies between"
            f" {compared['interval'][0]:.4g} and {compared['interval'][1]:.4g} at {gate.confidence:g}"
        )
    if broken:
        return {"accepted": False, "reason": "; ".join(broken)}
    against = f" and is not worse than the champion by {compared['metric']}" if compared else "; there is no champion"
    return {"accepted": True, "reason": f"passes every threshold of the quality gate{against}"}
