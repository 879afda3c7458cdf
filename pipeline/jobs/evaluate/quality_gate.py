"""The quality gate: thresholds of metrics, and the comparison with the champion by the bootstrap (Efron, 1979)."""

from dataclasses import dataclass

import numpy as np

from ..shared.arrow import Floats
from ..shared.documents import Comparison, Decision
from ..shared.metric_names import COMPARED_BY, METRICS
from ..shared.metrics import SEED, Measure
from ..shared.settings import GateSettings

WEIGHTS_AT_A_TIME = 4_000_000  # bounds the memory of a batch of resamples to 32 MB per array


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its values on the resamples (shape (resamples,), NaN where it is undefined there)."""

    value: float
    resamples: Floats

    @property
    def standard_deviation(self) -> float:
        """The spread over the resamples; 0 when fewer than two are defined."""
        defined = self.resamples[np.isfinite(self.resamples)]
        return float(defined.std(ddof=1)) if len(defined) > 1 else 0.0


def bootstrap(measure: Measure, rows: int) -> dict[str, Estimate]:
    """Return the metrics of all rows, and of 1000 seeded resamples of them (down to 200 when the rows are many).

    The resamples depend on the number of rows alone, so two models measured on the same rows are compared in pairs.
    For groups of rows, `rows` is the number of groups.
    """
    resamples = int(np.clip(20_000_000 // rows, 200, 1000))
    at_a_time = max(1, WEIGHTS_AT_A_TIME // rows)
    generator = np.random.default_rng(SEED)
    measured: list[dict[str, Floats]] = []
    for start in range(0, resamples, at_a_time):
        count = min(at_a_time, resamples - start)
        drawn = generator.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        weights = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        measured.append(measure(weights.astype(np.float64)))
    once = measure(np.ones((1, rows)))
    return {
        name: Estimate(float(values[0]), np.concatenate([batch[name] for batch in measured]))
        for name, values in once.items()
    }


def compare(
    predictor_type: str, challenger: dict[str, Estimate], champion: dict[str, Estimate], confidence: float
) -> Comparison:
    """Return how much better the challenger is (positive: better, whichever way the metric goes), and the interval.

    The interval is the paired bootstrap's percentiles: both models are measured on the same resamples, so what makes a
    resample easy or hard cancels out (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    """
    metric = COMPARED_BY[predictor_type]
    sign = 1 if metric in METRICS[predictor_type][0] else -1
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


def decide(
    gate: GateSettings,
    estimates: dict[str, Estimate],
    compared: Comparison | None,
    incomparable: str | None = None,
    golden: str = "",
) -> Decision:
    """Return the decision, as the state QualityGate makes it: every threshold passed, and no worse than by the margin.

    The second is a non-inferiority test: the interval of the paired difference must end above minus the margin. It has
    no part in the decision if there is no champion, or if the champion is `incomparable`: the reason for that. With
    `golden`, which says what golden rows are wrong, the model is rejected whatever its metrics.
    """
    broken = gate.breaches({name: estimate.value for name, estimate in estimates.items()})
    if compared is not None and compared["interval"][0] < -gate.margin:
        new, old, (low, high) = compared["challenger"], compared["champion"], compared["interval"]
        worse = (
            f"{compared['metric']} {new:.4g} may be worse than the champion's {old:.4g} by more than {gate.margin:g}"
        )
        broken.append(f"{worse}: the difference lies between {low:.4g} and {high:.4g} at {gate.confidence:g}")
    broken += [golden] if golden else []
    apart = f"; the champion is not comparable: {incomparable}" if incomparable else ""
    against = f" and is not worse than the champion by {compared['metric']}" if compared else "; there is no champion"
    passed = f"passes every threshold of the quality gate{apart or against}"
    decision: Decision = {"accepted": not broken, "reason": "; ".join(broken) + apart if broken else passed}
    if compared or incomparable:
        decision["comparable"] = not incomparable
    if not broken:
        asks = incomparable and gate.approve_incomparable
        decision["status"] = "PendingManualApproval" if asks else "Approved"
    return decision
