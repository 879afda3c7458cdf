"""Late ground truth, joined with what was answered: how good the live model is."""

from __future__ import annotations

import csv
import math
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bootstrap import GROUPS, random_groups
from captured import Captured, row_key
from job_settings import JobSettings
from metrics import measure_of
from numpy.typing import NDArray
from predictions import Predictions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Labels by row; of several truths for a row the last counts."""

    keys: NDArray[np.int64]
    """Shape (truths,): `row_key`s, ascending."""
    labels: Floats
    """Shape (truths,): the class number, or the value for regression."""
    unknown: int
    """Labels that the settings do not know."""


@dataclass(frozen=True)
class Joined:
    """What is true of rows, and what was answered: shape (rows,), the scores (rows, classes) for multiclass."""

    labels: Floats
    scores: Floats
    classes: Floats


def read_truth(file: Path, settings: JobSettings) -> Truth:
    """Read a CSV with the columns inference_id, row and label."""
    numbers = {name: float(number) for number, name in enumerate(settings.classes)}
    keys, labels, unknown = array("q"), array("d"), 0
    with file.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            label = numbers.get(line["label"], math.nan) if settings.classes else float(line["label"])
            if math.isnan(label):
                unknown += 1
            else:
                keys.append(row_key(line["inference_id"], int(line["row"])))
                labels.append(label)
    order = np.argsort(np.array(keys), kind="stable")
    ascending = np.array(keys)[order]
    last = np.append(ascending[1:] != ascending[:-1], True)[: len(order)]
    return Truth(ascending[last], np.array(labels)[order[last]], unknown)


def join(truth: Truth, batch: Captured) -> Joined:
    """Return the rows of a batch whose truth is known."""
    places = np.searchsorted(truth.keys, batch.keys)
    known = places < len(truth.keys)
    known[known] = truth.keys[places[known]] == batch.keys[known]
    return Joined(truth.labels[places[known]], batch.scores[known], batch.classes[known])


def quality(truth: Truth, batches: list[Joined], settings: JobSettings, minimum: int) -> dict[str, Any]:
    """Return {truths, joined, unknown, metrics, breaches} of all batches.

    Metrics are the gate's own; there are none when every label is the same, and a bound is a breach from `minimum`
    joined rows on.
    """
    labels = np.concatenate([batch.labels for batch in batches])
    rows = len(labels)
    found: dict[str, Any] = {"truths": len(truth.keys), "joined": rows, "unknown": truth.unknown, "metrics": {}}
    if rows and labels.min() != labels.max():
        classes = np.concatenate([batch.classes for batch in batches]) if settings.classes else None
        answers = Predictions(np.concatenate([batch.scores for batch in batches]), classes)
        groups = random_groups(rows)
        measure = measure_of(settings.predictor_type, labels, answers, groups)
        measured = measure(np.ones((1, rows if groups is None else GROUPS)))
        found["metrics"] = {name: float(value[0]) for name, value in measured.items() if math.isfinite(value[0])}
    return {**found, "breaches": _breaches(found["metrics"], settings) if rows >= minimum else []}


def _breaches(metrics: dict[str, float], settings: JobSettings) -> list[str]:
    low = [(name, bound, "below") for name, bound in settings.gate.minimum.items() if metrics.get(name, bound) < bound]
    high = [(name, bound, "above") for name, bound in settings.gate.maximum.items() if metrics.get(name, bound) > bound]
    return [f"live {name} {metrics[name]:.4g} is {side} {bound:g}" for name, bound, side in (*low, *high)]
