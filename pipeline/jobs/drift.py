"""Captured requests of a window against what the live model was trained on -> drift.json and summary.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from captured import Captured, read_captured
from job_settings import JobSettings, read_settings
from numpy.typing import NDArray
from problems import JobError
from shift import moved, psi, psi_by_chance
from truth import quality

Floats = NDArray[np.float64]
WORST = 20
"""Features that get a CloudWatch metric of their own, each of which costs money; all stand in drift.json."""


class WindowError(JobError):
    """The window or what it is compared with cannot be read."""


@dataclass(frozen=True)
class Bounds:
    """The settings' [drift]."""

    minimum_rows: int
    psi: float
    ks: float
    missing: float
    out_of_range: float
    significance: float

    @staticmethod
    def of(settings: Path) -> Bounds:
        """Read them from the same settings document as the rest."""
        file = next(iter(settings.glob("*.json"))) if settings.is_dir() else settings
        table = json.loads(file.read_text(encoding="utf-8"))["drift"]
        return Bounds(**{name: table[name] for name in Bounds.__dataclass_fields__})

    def by_name(self) -> dict[str, float]:
        """Return the two that `shift.moved` takes."""
        return {"psi": self.psi, "ks": self.ks}


def run(settings: Path, *, captured: Path, window: Path, baseline: Path, evaluation: Path, output: Path) -> None:
    """Compare the window's rows with the baseline, and its labels with the truth, and write both documents.

    `window` holds window.json ({run, since, until}) and truth.csv; `baseline` baseline.json; `evaluation` profile.json.

    Raises:
        JobError: the settings or one of these documents cannot be read.
    """
    wanted, bounds = read_settings(settings), Bounds.of(settings)
    asked, reference = _read(window / "window.json"), _read(baseline / "baseline.json")
    profile = _read(evaluation / "profile.json")
    kept = read_captured(captured, wanted)
    document: dict[str, Any] = {
        **asked,
        **compare(kept, kept.since(asked["since"]), reference, profile, settings=wanted, bounds=bounds),
    }
    document["quality"] = quality(window / "truth.csv", kept, wanted, bounds.minimum_rows)
    document["breaches"] += document["quality"]["breaches"]
    if document["breaches"]:
        document["verdict"] = "drift"
    output.mkdir(parents=True, exist_ok=True)
    (output / "drift.json").write_text(json.dumps(document), encoding="utf-8")
    (output / "summary.json").write_text(json.dumps(summary(document)), encoding="utf-8")
    print(f"{document['rows']} rows since {asked['since']}: {document['verdict']}")
    print("\n".join(document["breaches"]))


def compare(
    kept: Captured,
    rows: NDArray[np.bool_],
    reference: dict[str, Any],
    profile: dict[str, Any],
    *,
    settings: JobSettings,
    bounds: Bounds,
) -> dict[str, Any]:
    """Return the verdict, each breach in words, and the figures: of every feature, of the scores and of the labels."""
    count = int(rows.sum())
    document: dict[str, Any] = {"rows": count, "requests": kept.requests, "unreadable": kept.unreadable}
    document |= {"verdict": "none", "breaches": [], "features": {}, "predictions": {}}
    if count < bounds.minimum_rows:
        return {**document, "verdict": "not enough data", "wanted": bounds.minimum_rows}
    # Bonferroni: each figure of each column is one more chance to be wrong.
    each = bounds.significance / (2 * len(settings.features) + 3)
    for name, values in zip(settings.features, kept.features[rows].T, strict=True):
        document["features"][name] = _feature(reference["features"][name], values, bounds, each)
    if "score" in profile and kept.scores.ndim == 1:
        scores = kept.scores[rows]
        document["predictions"] = moved(profile["score"], scores[np.isfinite(scores)], bounds.by_name(), each)
    if "labels" in profile:
        document["labels"] = _labels(profile["labels"], kept.classes[rows], bounds, each)
    for part in ("predictions", "labels"):
        document["breaches"] += [f"{part}: {reason}" for reason in document.get(part, {}).get("reasons", [])]
    for name, found in document["features"].items():
        document["breaches"] += [f"{name}: {reason}" for reason in found["reasons"]]
    return {**document, "verdict": "drift" if document["breaches"] else "none"}


def _feature(reference: dict[str, Any], values: Floats, bounds: Bounds, significance: float) -> dict[str, Any]:
    there = values[np.isfinite(values)]
    missing = 1 - len(there) / len(values)
    if not len(there):
        return {"psi": 0.0, "ks": 0.0, "missing": missing, "out_of_range": 0.0, "reasons": ["every value is missing"]}
    outside = float(((there < reference["minimum"]) | (there > reference["maximum"])).mean())
    found = moved(reference, there, bounds.by_name(), significance)
    for what, share, bound in (
        ("missing", missing, bounds.missing),
        ("outside the range of the training data", outside, bounds.out_of_range),
    ):
        if share > bound:
            found["reasons"].append(f"{share:.3g} of the values are {what}, above {bound:g}")
    return {**found, "missing": missing, "out_of_range": outside}


def _labels(reference: dict[str, int], classes: Floats, bounds: Bounds, significance: float) -> dict[str, Any]:
    counted = np.bincount(classes[np.isfinite(classes)].astype(int), minlength=len(reference)).astype(float)
    expected = np.array(list(reference.values()), float)
    index, highest = psi(expected, counted), max(bounds.psi, psi_by_chance(expected, counted, significance))
    reasons = [f"PSI {index:.3g} is above {highest:.3g}"] if index > highest else []
    return {"counts": dict(zip(reference, counted.tolist(), strict=True)), "psi": index, "reasons": reasons}


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the state machine needs: {verdict, drifted, reason, metrics}, these as PutMetricData takes them."""
    features = document["features"]
    worst = sorted(features, key=lambda name: -features[name]["psi"])[:WORST]
    figures = {"Rows": document["rows"], "Breaches": len(document["breaches"]), "Unreadable": document["unreadable"]}
    if features:
        figures |= {
            "LargestPSI": max(found["psi"] for found in features.values()),
            "LargestKS": max(found["ks"] for found in features.values()),
            "LargestMissingRate": max(found["missing"] for found in features.values()),
            "LargestOutOfRangeRate": max(found["out_of_range"] for found in features.values()),
        }
    if document.get("labels"):
        figures["LabelPSI"] = document["labels"]["psi"]
    figures |= {f"Live_{name}": value for name, value in document["quality"]["metrics"].items()}
    metrics: list[dict[str, Any]] = [{"MetricName": name, "Value": value} for name, value in figures.items()]
    metrics += [
        {
            "MetricName": "FeaturePSI",
            "Value": features[name]["psi"],
            "Dimensions": [{"Name": "Feature", "Value": name}],
        }
        for name in worst
    ]
    reason = "; ".join(document["breaches"][:10]) or f"{document['verdict']}: {document['rows']} rows"
    return {"verdict": document["verdict"], "drifted": bool(document["breaches"]), "reason": reason, "metrics": metrics}


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WindowError(f"{path}: {error}: did the run that trained the live model write it?") from error
    if not isinstance(document, dict):
        raise WindowError(f"{path}: not an object")
    return document
