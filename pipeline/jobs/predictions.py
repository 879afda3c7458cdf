"""What the transform job answered, and the labels it is measured against, line by line."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job_settings import JobSettings
from numpy.typing import NDArray
from problems import PredictionsError, place, shortened

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """The model's answers in the order of the hold-out."""

    scores: Floats
    """Shape (rows,): the positive class's score or the predicted value; (rows, classes) for multiclass."""
    classes: Floats | None
    """Shape (rows,): the predicted class number; None for regression."""


def read_predictions(directory: Path, settings: JobSettings) -> Predictions:
    """Read every `.out` file under a directory, sorted by path.

    Raises:
        PredictionsError: no file, or a line that is not JSON with a finite score (one a class for multiclass) and, for
            classes, a predicted_label that is a class number.
    """
    scores, classes = array("d"), array("d")
    count = len(settings.classes)
    multiclass = settings.predictor_type == "multiclass_classifier"
    for where, document in _documents(directory, ".out"):
        score: list[Any] = document.get("score") if multiclass else [document.get("score")]  # type: ignore[assignment]
        if not isinstance(score, list) or len(score) != (count if multiclass else 1):
            raise PredictionsError(f"{where}: score must be a list of {count} numbers: is it this model's answer?")
        scores.extend(_number(where, "score", value) for value in score)
        if settings.classes:
            classes.append(_class(where, "predicted_label", document, count))
    shape = (-1, count) if multiclass else (-1,)
    return Predictions(np.array(scores).reshape(shape), np.array(classes) if settings.classes else None)


def read_labels(directory: Path, settings: JobSettings) -> Floats:
    """Read every `.jsonl` file of labels under a directory, sorted by path; shape (rows,).

    Raises:
        PredictionsError: no file, a line that is not JSON with a label, or labels that no metric is defined for.
    """
    labels = array("d")
    for where, document in _documents(directory, ".jsonl"):
        if settings.classes:
            labels.append(_class(where, "label", document, len(settings.classes)))
        else:
            labels.append(_number(where, "label", document.get("label")))
    if len(set(labels)) < 2:
        raise PredictionsError(f"{directory}: every one of the {len(labels)} labels is the same: nothing to measure")
    return np.array(labels)


def _documents(directory: Path, suffix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    files = sorted(path for path in directory.rglob("*" + suffix) if path.is_file())
    if not files:
        raise PredictionsError(f"{directory}: no file whose name ends in {suffix}: did the job before this one end?")
    for file in files:
        with file.open("rb") as lines:
            for row, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                where = place(str(file.relative_to(directory)), row)
                try:
                    document = json.loads(line)
                except ValueError:
                    document = None
                if not isinstance(document, dict):
                    text = shortened(line.decode("utf-8", "backslashreplace").strip())
                    raise PredictionsError(f"{where}: {text} is not a JSON object: run the job before this one again")
                yield where, document


def _number(where: str, key: str, value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise PredictionsError(f"{where}: {key} is {shortened(json.dumps(value))}, a finite number is wanted")
    return float(value)  # type: ignore[arg-type]


def _class(where: str, key: str, document: dict[str, Any], count: int) -> float:
    # Containers of 2019 answered 0.0, later ones 0.
    value = document.get(key)
    if type(value) not in (int, float) or value not in range(count):
        raise PredictionsError(f"{where}: {key} is {shortened(json.dumps(value))}, want a class from 0 to {count - 1}")
    return float(value)  # type: ignore[arg-type]
