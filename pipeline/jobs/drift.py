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
from tally import Counts, Tally, tally
from truth import join, quality, read_truth

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


@dataclass(frozen=True)
class Seen:
    """What a comparison needs of the window's rows; what batches showed adds up."""

    rows: int
    requests: int
    unreadable: int
    features: tuple[Tally, ...]
    score: Tally | None
    """None where the live model's profile has no scores to compare with: multiclass."""
    classes: Counts
    """Rows by predicted class."""

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.rows + other.rows, self.requests + other.requests, self.unreadable + other.unreadable,
            tuple(one + more for one, more in zip(self.features, other.features, strict=True)),
            self.score + other.score if self.score and other.score else None, self.classes + other.classes,
        )  # fmt: skip


def run(settings: Path, *, captured: Path, window: Path, baseline: Path, evaluation: Path, output: Path) -> None:
    """Compare the window's rows with the baseline, and its labels with the truth, and write both documents.

    `window` holds window.json ({run, since, until}) and ground_truth.csv; `baseline` baseline.json; `evaluation` profile.json.

    Raises:
        JobError: the settings or one of these documents cannot be read.
    """
    wanted, bounds = read_settings(settings), Bounds.of(settings)
    asked, reference = _read(window / "window.json"), _read(baseline / "baseline.json")
    profile = _read(evaluation / "profile.json")
    truth, joined = read_truth(window / "ground_truth.csv", wanted), []
    seen: Seen | None = None
    for batch in read_captured(captured, wanted):
        found = look_at(batch, asked["since"], reference, profile, wanted)
        seen = seen + found if seen else found
        joined.append(join(truth, batch))
    assert seen is not None
    document: dict[str, Any] = {**asked, **compare(seen, reference, profile, settings=wanted, bounds=bounds)}
    document["quality"] = quality(truth, joined, wanted, bounds.minimum_rows)
    document["breaches"] += document["quality"]["breaches"]
    if document["breaches"]:
        document["verdict"] = "drift"
    output.mkdir(parents=True, exist_ok=True)
    (output / "drift.json").write_text(json.dumps(document), encoding="utf-8")
    (output / "summary.json").write_text(json.dumps(summary(document)), encoding="utf-8")
    print(f"{document['rows']} rows since {asked['since']}: {document['verdict']}")
    print("\n".join(document["breaches"]))


def look_at(
    batch: Captured, since: str, reference: dict[str, Any], profile: dict[str, Any], settings: JobSettings
) -> Seen:
    """Return what the rows of a batch that were answered at `since` or later show."""
    rows = batch.times >= since
    classes = batch.classes[rows]
    return Seen(
        int(rows.sum()), batch.requests, batch.unreadable,
        tuple(
            tally(reference["features"][name], values)
            for name, values in zip(settings.features, batch.features[rows].T, strict=True)
        ),
        tally(profile["score"], batch.scores[rows]) if "score" in profile and batch.scores.ndim == 1 else None,
        np.bincount(classes[np.isfinite(classes)].astype(int), minlength=len(profile.get("labels", ()))),
    )  # fmt: skip


def compare(
    seen: Seen, reference: dict[str, Any], profile: dict[str, Any], *, settings: JobSettings, bounds: Bounds
) -> dict[str, Any]:
    """Return the verdict, each breach in words, and the figures: of every feature, of the scores and of the labels."""
    document: dict[str, Any] = {"rows": seen.rows, "requests": seen.requests, "unreadable": seen.unreadable}
    document |= {"verdict": "none", "breaches": [], "features": {}, "predictions": {}}
    if seen.rows < bounds.minimum_rows:
        return {**document, "verdict": "not enough data", "wanted": bounds.minimum_rows}
    # Bonferroni: each figure of each column is one more chance to be wrong.
    each = bounds.significance / (2 * len(settings.features) + 3)
    for name, values in zip(settings.features, seen.features, strict=True):
        document["features"][name] = _feature(reference["features"][name], values, bounds, each)
    if seen.score:
        document["predictions"] = moved(profile["score"], seen.score, bounds.by_name(), each)
    if "labels" in profile:
        document["labels"] = _labels(profile["labels"], seen.classes.astype(float), bounds, each)
    for part in ("predictions", "labels"):
        document["breaches"] += [f"{part}: {reason}" for reason in document.get(part, {}).get("reasons", [])]
    for name, found in document["features"].items():
        document["breaches"] += [f"{name}: {reason}" for reason in found["reasons"]]
    return {**document, "verdict": "drift" if document["breaches"] else "none"}


def _feature(reference: dict[str, Any], seen: Tally, bounds: Bounds, significance: float) -> dict[str, Any]:
    missing = 1 - seen.count / seen.rows
    if not seen.count:
        return {"psi": 0.0, "ks": 0.0, "missing": missing, "out_of_range": 0.0, "reasons": ["every value is missing"]}
    outside = seen.outside / seen.count
    found = moved(reference, seen, bounds.by_name(), significance)
    for what, share, bound in (
        ("missing", missing, bounds.missing),
        ("outside the range of the training data", outside, bounds.out_of_range),
    ):
        if share > bound:
            found["reasons"].append(f"{share:.3g} of the values are {what}, above {bound:g}")
    return {**found, "missing": missing, "out_of_range": outside}


def _labels(reference: dict[str, int], counted: Floats, bounds: Bounds, significance: float) -> dict[str, Any]:
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
