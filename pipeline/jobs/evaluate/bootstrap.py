"""The spread of a metric over other hold-outs of the same size: the bootstrap (Efron, 1979)."""

from dataclasses import dataclass

import numpy as np

from ..shared.arrow import Floats
from ..shared.metrics import SEED, Measure

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
