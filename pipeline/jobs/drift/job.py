"""Captured requests of a window against the data that the live model was trained on -> drift.json and summary.json."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..shared.arrow import Floats
from ..shared.documents import Baseline, Categories, Distribution, Drift, DriftReport, Profile
from ..shared.encoder import OTHER, Encoder, Feature
from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from ..shared.signature import read_signature, settings_under, signature_of
from .data_capture import CapturedRows, read_data_capture
from .ground_truth import Joined, join, quality, read_ground_truth
from .psi import (
    Counts,
    Histogram,
    LevelCounts,
    histogram,
    level_counts,
    measure,
    measure_levels,
    psi,
    psi_limit,
    share_limit,
)

Reference = Distribution | Categories  # of a feature, in the baseline
Counted = Histogram | LevelCounts
NAMED = 5  # unknown levels of a feature, the most frequent ones, in drift.json alone: notifications hold no data
WORST = 20  # features that get a CloudWatch metric of their own, each of which costs money; drift.json has all


MOST_LEVELS = 10_000  # unknown levels that are counted


@dataclass(frozen=True)
class WindowCounts:
    """The counts of a window's rows; those of batches add up."""

    rows: int
    requests: int
    unreadable: int
    features: tuple[Counted, ...]
    score: Histogram | None  # None where the live model's profile has no scores to compare with: multiclass
    classes: Counts  # rows by predicted class
    unknown: Counter[tuple[str, str]]  # rows by feature and level, of levels that the training data lack

    def __add__(self, other: "WindowCounts") -> "WindowCounts":
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("rows", "requests", "unreadable", "classes", "unknown")
        }
        sums["unknown"] = Counter(dict(sums["unknown"].most_common(MOST_LEVELS)))
        score = self.score + other.score if self.score and other.score else None
        return WindowCounts(**sums, features=tuple(map(add, self.features, other.features)), score=score)


def drift(settings: Path, *, data_capture: Path, window: Path, baseline: Path, evaluation: Path, output: Path) -> None:
    """Compare the window's rows with the baseline, and its answers with the ground truth; write both documents.

    `data_capture` holds the endpoint's `.jsonl` files, `window` window.json and ground_truth.csv, and signature.json
    if the live model has a signature; `baseline` holds baseline.json, and `evaluation` profile.json, of the run that
    trained it.

    Raises JobError: the settings or one of these documents cannot be read.
    """
    wanted, document = read_settings(settings), window / "signature.json"
    signature = read_signature(document) if document.exists() else signature_of(wanted)
    wanted = settings_under(signature, wanted)
    span, reference = _read(window / "window.json"), _read(baseline / "baseline.json")
    profile = _read(evaluation / "profile.json")
    encoder = encoder_of(reference, wanted)
    truth = read_ground_truth(window / "ground_truth.csv", wanted)
    joined: list[Joined] = []

    def counted(batch: CapturedRows) -> WindowCounts:
        joined.append(join(truth, batch))
        return count(batch, span["since"], reference, profile, wanted)

    total = reduce(add, map(counted, read_data_capture(data_capture, wanted, encoder, signature.name)))
    report: DriftReport = {**span, **compare(total, reference, profile, wanted)}
    report["quality"] = quality(truth, joined, wanted, wanted.drift.minimum_rows)
    report["breaches"] += report["quality"]["breaches"]
    if report["breaches"]:
        report["verdict"] = "drift"
    output.mkdir(parents=True, exist_ok=True)
    (output / "drift.json").write_text(json.dumps(report), encoding="utf-8")
    (output / "summary.json").write_text(json.dumps(summary(report)), encoding="utf-8")
    print(f"{report['rows']} rows since {span['since']}: {report['verdict']}")
    print("\n".join(report["breaches"]))


def encoder_of(reference: Baseline, settings: JobSettings) -> Encoder | None:
    """Return what reads raw rows, of all levels of the training data; None for rows of numbers alone.

    Raises JobError: the live model has other features.
    """
    known = reference["features"]
    features = tuple(_as_encoded(name, known[name]) for name in settings.features if name in known)
    if len(known) != len(settings.features) or tuple(feature.kind for feature in features) != settings.kinds:
        fault = "the live model was trained with other features or kinds than the settings have"
        raise JobError(f"{fault}: start a run with `ops retrain`, or deploy the settings of that model again")
    return Encoder(features) if settings.encoded else None


def _as_encoded(name: str, reference: Reference) -> Feature:
    if "levels" in reference:
        return Feature(name, reference["kind"], levels=tuple(reference["levels"]))
    return Feature(name, "numeric")


def count(
    batch: CapturedRows, since: str, reference: Baseline, profile: Profile, settings: JobSettings
) -> WindowCounts:
    """Return the counts of the rows of a batch that were answered at `since` or later."""
    rows = batch.times >= since
    classes = batch.classes[rows]
    columns = zip(settings.features, batch.features[rows].T, strict=True)
    features = tuple(_counted(reference["features"][name], values) for name, values in columns)
    scored = "score" in profile and batch.scores.ndim == 1
    score = histogram(profile["score"], batch.scores[rows]) if scored else None
    by_class = np.bincount(classes[np.isfinite(classes)].astype(int), minlength=len(profile.get("labels", ())))
    unknown = Counter(
        (settings.features[number], texts[row])
        for number, texts in batch.texts.items()
        for row in np.flatnonzero(rows & (batch.features[:, number] == OTHER)).tolist()
    )
    return WindowCounts(int(rows.sum()), batch.requests, batch.unreadable, features, score, by_class, unknown)


def _counted(reference: Reference, values: Floats) -> Counted:
    return level_counts(reference, values) if "levels" in reference else histogram(reference, values)


def compare(window: WindowCounts, reference: Baseline, profile: Profile, settings: JobSettings) -> DriftReport:
    """Return the verdict, each breach as a phrase, and the distances of every feature, the scores and the labels."""
    thresholds = settings.drift
    report: DriftReport = {"rows": window.rows, "requests": window.requests, "unreadable": window.unreadable}
    report |= {"verdict": "none", "breaches": [], "features": {}, "predictions": {}}
    if window.rows < thresholds.minimum_rows:
        return {**report, "verdict": "not enough data", "wanted": thresholds.minimum_rows}
    # Bonferroni: each distance of each column is one more chance to be wrong.
    features = [reference["features"][name] for name in settings.features]
    distances = sum((1 if "levels" in each else 2) + (each.get("missing", 0) > 0) for each in features)
    each = thresholds.significance / (distances + 3)
    for name, known, values in zip(settings.features, features, window.features, strict=True):
        report["features"][name] = _feature(known, values, settings, each)
        if unknown := [(level, count) for (of, level), count in window.unknown.most_common() if of == name]:
            report["features"][name]["unknown"] = dict(unknown[:NAMED])
    if window.score:
        report["predictions"] = measure(profile["score"], window.score, thresholds, each)
    if "labels" in profile:
        expected, actual = np.array(list(profile["labels"].values()), float), window.classes.astype(float)
        index, highest = psi(expected, actual), max(thresholds.psi, psi_limit(expected, actual, each))
        reasons = [f"PSI {index:.3g} is above {highest:.3g}"] if index > highest else []
        counts = dict(zip(profile["labels"], actual.tolist(), strict=True))
        report["labels"] = {"counts": counts, "psi": index, "reasons": reasons}
    found = [("predictions", report["predictions"]), ("labels", report.get("labels", {})), *report["features"].items()]
    report["breaches"] = [f"{name}: {reason}" for name, column in found for reason in column.get("reasons", [])]
    report["verdict"] = "drift" if report["breaches"] else "none"
    return report


def _feature(reference: Reference, values: Counted, settings: JobSettings, significance: float) -> Drift:
    missing = 1 - values.count / values.rows
    if not values.count:
        return {"psi": 0.0, "ks": 0.0, "missing": missing, "out_of_range": 0.0, "reasons": ["every value is missing"]}
    thresholds, outside = settings.drift, values.outside / values.count
    if isinstance(values, Histogram):
        found = measure(cast(Distribution, reference), values, thresholds, significance)
        description = "outside the range of the training data"
    else:
        rare = settings.levels.minimum_rows if reference.get("kind") == "categorical" else 0
        found = measure_levels(cast(Categories, reference), values, thresholds, rare, significance)
        description = "levels that the training data lack"
    before = reference.get("missing", 0.0)
    most = max(thresholds.missing, share_limit(before, _rows(reference), values.rows, significance))
    expected = f", {before:.3g} in the training data, more than {most:.3g} apart" if before else f", above {most:g}"
    if abs(missing - before) > most:
        found["reasons"].append(f"{missing:.3g} of the values are missing{expected}")
    if outside > thresholds.out_of_range:
        found["reasons"].append(f"{outside:.3g} of the values are {description}, above {thresholds.out_of_range:g}")
    return {**found, "missing": missing, "out_of_range": outside}


def _rows(reference: Reference) -> float:
    """Return the rows that a reference is of, without and with a value."""
    present = reference["count"] if "count" in reference else sum(reference["levels"].values())
    return present / (1 - reference.get("missing", 0.0))


def summary(report: DriftReport) -> dict[str, object]:
    """Return {verdict, drifted, reason, metrics}, which the state machine reads; PutMetricData takes the metrics."""
    features, rows, unreadable = report["features"], report["rows"], report["unreadable"]
    figures: dict[str, float] = {"Rows": rows, "Breaches": len(report["breaches"]), "Unreadable": unreadable}
    if features:
        figures |= {
            "LargestPSI": max(found["psi"] for found in features.values()),
            "LargestKS": max(found.get("ks", 0.0) for found in features.values()),
            "LargestMissingRate": max(found["missing"] for found in features.values()),
            "LargestOutOfRangeRate": max(found["out_of_range"] for found in features.values()),
        }
    if report.get("labels"):
        figures["LabelPSI"] = report["labels"]["psi"]
    figures |= {f"Live_{name}": value for name, value in report["quality"]["metrics"].items()}
    metrics: list[dict[str, object]] = [{"MetricName": name, "Value": value} for name, value in figures.items()]
    for name in sorted(features, key=lambda name: -features[name]["psi"])[:WORST]:
        # CloudWatch takes printable ASCII alone, at most 1024 characters (CloudWatch API, Dimension).
        dimensions = [{"Name": "Feature", "Value": name.encode("unicode_escape").decode()[:1024]}]
        metrics.append({"MetricName": "FeaturePSI", "Value": features[name]["psi"], "Dimensions": dimensions})
    reason = "; ".join(report["breaches"][:10]) or f"{rows} rows in the window"
    return {"verdict": report["verdict"], "drifted": bool(report["breaches"]), "reason": reason, "metrics": metrics}


def _read(path: Path) -> Any:
    """Return a document; the caller gives it its type."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: {error}: did the run that trained the live model write it?") from error
    if not isinstance(document, dict):
        raise JobError(f"{path}: not an object")
    return document
