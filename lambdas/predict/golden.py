"""What golden rows demand of a model's answers; in lambdas/predict and pipeline/jobs/shared it is the same file."""

import math
from collections.abc import Sequence
from typing import TypedDict

NAMED = 10
"""The most golden rows that a sentence names."""


class Demand(TypedDict, total=False):
    """What a golden row demands: a label, bounds of the score, or a value within a tolerance."""

    label: str
    at_least: float
    at_most: float
    value: float
    tolerance: float


def fault_of(demand: Demand, label: str | None, score: float | list[float]) -> str:
    """Return how an answer differs from what is demanded, "" if it does not; a regressor's answer has no label."""
    if "label" in demand:
        return "" if label == demand["label"] else f"expected {demand['label']}, got {label}"
    if isinstance(score, list):
        return f"expected one score, got {score}"
    if "value" in demand:
        value, tolerance = demand["value"], demand["tolerance"]
        right = math.isclose(score, value, rel_tol=0, abs_tol=tolerance)
        return "" if right else f"expected {value} within {tolerance}, got {score}"
    low, high = demand.get("at_least", -math.inf), demand.get("at_most", math.inf)
    words = [f"at least {low}"] if "at_least" in demand else []
    words += [f"at most {high}"] if "at_most" in demand else []
    return "" if low <= score <= high else f"expected a score of {' and '.join(words)}, got {score}"


def right_share(faults: Sequence[str]) -> float:
    """Return the share of golden rows without a fault; 1 if there are none."""
    return faults.count("") / len(faults) if faults else 1.0


def wrong_rows(faults: Sequence[str], share: float) -> str:
    """Return which golden rows are wrong, if fewer than `share` of them are right, else "".

    `faults` has the fault of each row, "" for none.
    """
    if right_share(faults) >= share:
        return ""
    wrong = [f"golden row {number}: {fault}" for number, fault in enumerate(faults, 1) if fault]
    more = [f"and {len(wrong) - NAMED} more"] if len(wrong) > NAMED else []
    return "; ".join([*wrong[:NAMED], *more])
