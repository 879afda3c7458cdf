"""What an endpoint's data capture kept: rows, answers and inference ids, request by request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job_settings import JobSettings
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Captured:
    """Rows in the order of their files; a value that was left out or is no number is NaN."""

    features: Floats
    """Shape (rows, features)."""
    scores: Floats
    """Shape (rows,), or (rows, classes) for multiclass."""
    classes: Floats
    """Shape (rows,): predicted class numbers; NaN for regression."""
    keys: tuple[tuple[str, int], ...]
    """Inference id and number of the row in its request, from 1."""
    times: tuple[str, ...]
    """When each was answered, ISO 8601 in UTC: as text in the order of time."""
    requests: int
    unreadable: int
    """Records that have no row of this model's width, or no answer to each."""

    def since(self, time: str) -> NDArray[np.bool_]:
        """Return which rows were answered at `time` or later."""
        return np.array([at >= time for at in self.times], dtype=bool)


def read_captured(directory: Path, settings: JobSettings) -> Captured:
    """Read every `.jsonl` file under a directory, sorted by path; a record that cannot be read is counted."""
    features: list[list[float]] = []
    scores: list[Any] = []
    classes: list[float] = []
    keys: list[tuple[str, int]] = []
    times: list[str] = []
    requests = unreadable = 0
    width = len(settings.classes) if settings.predictor_type == "multiclass_classifier" else 0
    for record in _records(directory):
        requests += 1
        try:
            given, answers = _rows(record), _answers(record)
            if len(given) != len(answers) or any(len(row) != len(settings.features) for row in given):
                raise ValueError("rows of another width, or not an answer to each")
            told = [answer["score"] for answer in answers]
            labels = [float(answer.get("predicted_label", "nan")) for answer in answers]
            event = record["eventMetadata"]
            at, inference = event["inferenceTime"], event.get("inferenceId", event["eventId"])
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
            continue
        features += given
        scores += told
        classes += labels
        keys += [(inference, number) for number in range(1, len(given) + 1)]
        times += [at] * len(given)
    shape = (-1, width) if width else (-1,)
    return Captured(
        np.array(features, dtype=float).reshape(-1, len(settings.features)),
        np.array(scores, dtype=float).reshape(shape), np.array(classes, dtype=float),
        tuple(keys), tuple(times), requests, unreadable,
    )  # fmt: skip


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(directory.rglob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError:
                        yield {}


def _text(side: dict[str, Any]) -> str:
    data = side["data"]
    return base64.b64decode(data).decode("utf-8") if side["encoding"] == "BASE64" else str(data)


def _rows(record: dict[str, Any]) -> list[list[float]]:
    return [[_number(cell) for cell in line.split(",")] for line in
            _text(record["captureData"]["endpointInput"]).splitlines() if line.strip()]  # fmt: skip


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")


def _answers(record: dict[str, Any]) -> list[dict[str, Any]]:
    text = _text(record["captureData"]["endpointOutput"])
    document = json.loads(text)
    return list(document["predictions"])
