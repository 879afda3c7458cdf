"""Ground truth, which arrives late, joined with the answers that were captured: the live model's quality."""

import csv
import math
from array import array
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.documents import LiveQuality
from ..shared.labels import class_of
from ..shared.metrics import GROUPS, Predictions, measure_of, random_groups
from ..shared.settings import JobSettings
from .data_capture import CapturedRows, row_key

Joined = tuple[Floats, Floats, Floats]  # true labels, scores and classes of rows, shaped as in CapturedRows


@dataclass(frozen=True)
class GroundTruth:
    """Labels by row; the last one counts where a row has several."""

    keys: NDArray[np.bytes_]  # shape (rows,): `row_key`s, ascending
    labels: Floats  # shape (rows,): the class number, or the value for regression
    unknown: int  # labels that the settings do not know


def read_ground_truth(file: Path, settings: JobSettings) -> GroundTruth:
    """Return the labels of a CSV with the columns inference_id, row and label, which are written as in the data."""

    @cache
    def number(label: str) -> float:
        known = class_of(label, settings.classes) if settings.classes else label
        return math.nan if known is None else float(known)

    names: list[bytes] = []
    labels, unknown = array("d"), 0
    with file.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            label = number(line["label"])
            if math.isnan(label):
                unknown += 1
            else:
                names.append(row_key(line["inference_id"], int(line["row"])))
                labels.append(label)
    keys = np.array(names, np.bytes_)
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    last = np.append(ascending[1:] != ascending[:-1], True)[: len(order)]
    return GroundTruth(ascending[last], np.array(labels)[order[last]], unknown)


def join(truth: GroundTruth, batch: CapturedRows) -> Joined:
    """Return the rows of a batch whose label is known."""
    places = np.searchsorted(truth.keys, batch.keys)
    known = places < len(truth.keys)
    known[known] = truth.keys[places[known]] == batch.keys[known]
    return truth.labels[places[known]], batch.scores[known], batch.classes[known]


def quality(truth: GroundTruth, batches: list[Joined], settings: JobSettings, minimum: int) -> LiveQuality:
    """Return all batches' metrics, if their labels differ, and from `minimum` rows on the gate's broken thresholds."""
    labels, scores, classes = (np.concatenate(column) for column in zip(*batches, strict=True))
    rows, metrics = len(labels), {}
    if rows and labels.min() != labels.max():
        groups = random_groups(rows)
        answers = Predictions(scores, classes if settings.classes else None)
        measure = measure_of(settings.predictor_type, labels, answers, groups)
        measured = measure(np.ones((1, rows if groups is None else GROUPS)))
        metrics = {name: float(value[0]) for name, value in measured.items() if math.isfinite(value[0])}
    return {
        "truths": len(truth.keys),
        "joined": rows,
        "unknown": truth.unknown,
        "metrics": metrics,
        "breaches": [f"live {breach}" for breach in settings.gate.breaches(metrics)] if rows >= minimum else [],
    }
