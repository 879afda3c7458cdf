"""Late ground truth, joined with what was answered: how good the live model is."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from captured import Captured
from job_settings import JobSettings
from metrics import measure_of
from predictions import Predictions


def quality(file: Path, kept: Captured, settings: JobSettings, minimum: int) -> dict[str, Any]:
    """Return {truths, joined, unknown, metrics, breaches} of a CSV with the columns inference_id, row and label.

    Of several truths for a row the last counts. Metrics are the gate's own; there are none when every label is the
    same, and a bound is a breach from `minimum` joined rows on.
    """
    numbers = {name: float(number) for number, name in enumerate(settings.classes)}
    truths: dict[tuple[str, int], float] = {}
    unknown = 0
    with file.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            label = numbers.get(line["label"], math.nan) if settings.classes else float(line["label"])
            if math.isnan(label):
                unknown += 1
            else:
                truths[line["inference_id"], int(line["row"])] = label
    places = [place for place, key in enumerate(kept.keys) if key in truths]
    labels = np.array([truths[kept.keys[place]] for place in places])
    found: dict[str, Any] = {"truths": len(truths), "joined": len(places), "unknown": unknown, "metrics": {}}
    if len(set(labels)) > 1:
        answers = Predictions(kept.scores[places], kept.classes[places] if settings.classes else None)
        measured = measure_of(settings.predictor_type, labels, answers)(np.ones((1, len(labels))))
        found["metrics"] = {name: float(value[0]) for name, value in measured.items() if math.isfinite(value[0])}
    return {**found, "breaches": _breaches(found["metrics"], settings) if len(places) >= minimum else []}


def _breaches(metrics: dict[str, float], settings: JobSettings) -> list[str]:
    low = [(name, bound, "below") for name, bound in settings.gate.minimum.items() if metrics.get(name, bound) < bound]
    high = [(name, bound, "above") for name, bound in settings.gate.maximum.items() if metrics.get(name, bound) > bound]
    return [f"live {name} {metrics[name]:.4g} is {side} {bound:g}" for name, bound, side in (*low, *high)]
