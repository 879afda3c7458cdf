"""Captured records and the other inputs of the drift job."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.jobs.shared.documents import distribution

AGES = np.concatenate([np.linspace(20, 60, 800), np.full(200, math.nan)])
"""The training rows' ages, of which a fifth are missing."""

KINDS: dict[str, Any] = {
    "age": {**distribution(AGES[:800]), "missing": 0.2},
    "port": {"kind": "categorical", "levels": {"Cherbourg": 196, "New York, NY": 3, "S": 801}, "missing": 0.0},
    "alone": {"kind": "boolean", "levels": {"false": 450, "true": 450}, "missing": 0.1},
}


def record(rows: Any, answers: Any, inference: str = "", at: str = "2026-07-31T10:00:00Z") -> str:
    """Return a record of data capture: a request of rows, given as cells, and its answers as (score, label)."""
    predictions = [{"score": score, "predicted_label": label} for score, label in answers]
    event = {"eventId": "e", "inferenceTime": at} | ({"inferenceId": inference} if inference else {})
    data = {
        "endpointInput": {"data": "\n".join(",".join(map(str, row)) for row in rows), "encoding": "CSV"},
        "endpointOutput": {"data": json.dumps({"predictions": predictions}), "encoding": "JSON"},
    }
    return json.dumps({"captureData": data, "eventMetadata": event})


def write_inputs(root: Path, *, features: Any, profile: Any, truth: list[str]) -> dict[str, Path]:
    """Write what the job reads beside data capture, and return the folders by the job's argument."""
    folders = {name: root / name for name in ("window", "baseline", "evaluation")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    (root / "baseline/baseline.json").write_text(json.dumps({"features": features}))
    (root / "evaluation/profile.json").write_text(json.dumps(profile))
    (root / "window/window.json").write_text(json.dumps({"run": "r", "since": "2026-07-31", "until": "2026-08-01"}))
    (root / "window/ground_truth.csv").write_text("\n".join(["inference_id,row,label", *truth]))
    return folders


def raw_rows(ages: Any, ports: list[str], alone: list[str]) -> list[str]:
    """Return raw rows of the table KINDS; an age is missing where it is NaN."""
    cells = zip(ages, ports, alone, strict=True)
    return [f"{'' if math.isnan(age) else repr(float(age))},{port},{flag}" for age, port, flag in cells]
