"""The settings document, as the jobs need it. It was checked when it was written (pipeline/config.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from problems import SettingsError


@dataclass(frozen=True)
class GateSettings:
    """Bounds by metric, and how much worse than the champion, at which confidence, is still good enough."""

    minimum: dict[str, float]
    maximum: dict[str, float]
    margin: float
    confidence: float

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that have a bound."""
        return (*self.minimum, *self.maximum)


@dataclass(frozen=True)
class BadRows:
    """How many rows may be wrong and are left out: so many, or this share of all, whichever is more."""

    count: int
    share: float


@dataclass(frozen=True)
class JobSettings:
    """The columns, the classes by number, the split and what the gate asks for."""

    predictor_type: str
    target: str
    classes: tuple[str, ...]
    """Labels by class number; empty for regression."""
    id_columns: tuple[str, ...]
    features: tuple[str, ...]
    minimum_rows_per_class: int
    shares: dict[str, float]
    """train, validation and holdout, summing to 1."""
    salt: str
    mini_batch_size: int
    content_type: str
    """Of the files that training reads."""
    gate: GateSettings
    bad_rows: BadRows
    memory_bytes: int
    """What preprocessing may hold at a time, the libraries themselves aside."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column a CSV must have: the features in their order, the target, the ids."""
        return (*self.features, self.target, *self.id_columns)

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns that hold numbers: the features, and the target for regression."""
        return self.features if self.classes else (*self.features, self.target)

    @property
    def score_width(self) -> int:
        """How many scores an answer has when they are a list, one a class; 0: one score that is no list."""
        return len(self.classes) if self.predictor_type == "multiclass_classifier" else 0


def read_settings(path: Path) -> JobSettings:
    """Return the settings from a JSON file, or from the one JSON file in a directory.

    Raises:
        SettingsError: not exactly one file, or not a settings document.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        raise SettingsError(f"{path}: {len(files)} JSON files, want exactly one: the pipeline's settings")
    try:
        document = json.loads(files[0].read_text(encoding="utf-8"))
        return _picked(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{files[0]}: not the pipeline's settings ({type(error).__name__}: {error}):"
            " write it with Settings.to_json()"
        ) from error


def _picked(document: dict) -> JobSettings:  # type: ignore[type-arg]
    data, split = document["data"], document["data"]["split"]
    pair = (data["negative_label"], data["positive_label"])
    mini_batch: str | int = document["training"]["hyperparameters"].get("mini_batch_size", 1000)
    return JobSettings(
        predictor_type=data["predictor_type"],
        target=data["target"],
        classes=pair if data["predictor_type"] == "binary_classifier" else tuple(data["labels"]),
        id_columns=tuple(data["id_columns"]),
        features=tuple(data["features"]),
        minimum_rows_per_class=data["minimum_rows_per_class"],
        shares={part: split[part] for part in ("train", "validation", "holdout")},
        salt=split["salt"],
        mini_batch_size=int(mini_batch),
        content_type=document["training"]["content_type"],
        gate=GateSettings(**document["gate"]),
        bad_rows=BadRows(**data["bad_rows"]),
        memory_bytes=int(document["processing"]["memory_mb"] * 2**20),
    )
