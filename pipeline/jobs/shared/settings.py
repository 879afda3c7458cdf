"""The settings document, as the jobs need it; pipeline/config.py validates it and writes it."""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import JobError
from .golden import Demand


@dataclass(frozen=True)
class GateSettings:
    """Thresholds by metric; a challenger may be worse than the champion by `margin`, at this `confidence`.

    With `approve_incomparable` a person approves one that cannot be compared.
    """

    minimum: dict[str, float]
    maximum: dict[str, float]
    margin: float
    confidence: float
    approve_incomparable: bool = False

    def breaches(self, metrics: dict[str, float]) -> list[str]:
        """Return a phrase for each metric that breaks its threshold; a metric that is missing breaks none."""
        return [
            f"{name} {metrics[name]:.4g} is {side} {threshold:g}"
            for sign, side, thresholds in ((1, "below", self.minimum), (-1, "above", self.maximum))
            for name, threshold in thresholds.items()
            if name in metrics and sign * metrics[name] < sign * threshold
        ]


@dataclass(frozen=True)
class BadRowLimit:
    """The number of bad rows allowed per run: `count`, or `share` of all rows, whichever is more."""

    count: int
    share: float


@dataclass(frozen=True)
class DriftSettings:
    """Thresholds of the drift check."""

    minimum_rows: int
    psi: float
    ks: float
    missing: float
    out_of_range: float
    significance: float


@dataclass(frozen=True)
class FileFormat:
    """How the text files are written; see `Format` in pipeline/settings.py."""

    separator: str
    quote: str
    decimal: str
    thousands: str
    header: bool
    names: tuple[str, ...]
    encoding: str
    comment: str
    symbols: str


@dataclass(frozen=True)
class LevelLimits:
    """Levels with fewer training rows become "other"; more than `maximum` levels are an error."""

    minimum_rows: int
    maximum: int


class Golden(Demand, total=False):
    """A raw row as the API's parser returns it, CSV text, and what it demands of the model's answer."""

    row: str


@dataclass(frozen=True)
class JobSettings:
    """The columns, the classes by number, the split, the quality gate and the limits."""

    predictor_type: str
    target: str  # "" of files to score, which need none
    classes: tuple[str, ...]  # labels by class number; empty for regression
    id_columns: tuple[str, ...]
    ignored_columns: tuple[str, ...]
    features: tuple[str, ...]
    kinds: tuple[str, ...]  # of the features: numeric, categorical or boolean
    imputed: tuple[bool, ...]  # whether a feature's missing values are filled in
    missing_texts: tuple[str, ...]  # texts that mean "no value", the empty one among them
    levels: LevelLimits
    format: FileFormat
    on_bad_file: str  # "fail" or "quarantine"
    show_values: bool  # whether errors have the wrong values beside their places
    minimum_rows_per_class: int
    shares: dict[str, float]  # train, validation and holdout, summing to 1
    salt: str
    mini_batch_size: int
    content_type: str  # of the files that training reads
    gate: GateSettings
    golden: tuple[Golden, ...]
    golden_share: float  # of the golden rows, the least share that must be right
    bad_rows: BadRowLimit
    drift: DriftSettings
    memory_bytes: int  # the memory that preprocessing may use, in addition to the libraries' own
    hyperparameters: dict[str, str] = field(default_factory=dict)  # the settings' own, as texts
    card: dict[str, str] = field(default_factory=dict)  # what a person says in the model card
    key_texts: tuple[str, ...] | None = None  # the missing texts of a row's key, if not those of its values

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column a file must have: the features in their order, the target, the ids."""
        return (*self.features, *([self.target] if self.target else []), *self.id_columns)

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns that hold numbers: of the features, and the target for regression."""
        numbers = tuple(name for name, kind in zip(self.features, self.kinds, strict=True) if kind == "numeric")
        return numbers if self.classes or not self.target else (*numbers, self.target)

    @cached_property
    def reading(self) -> dict[str, tuple[str, bool]]:
        """The kind of each feature and of the target ("label" if that is a class), and whether it is imputed."""
        features = dict(zip(self.features, zip(self.kinds, self.imputed, strict=True), strict=True))
        target = {self.target: ("label" if self.classes else "numeric", False)} if self.target else {}
        return {**features, **target}

    @cached_property
    def missing_levels(self) -> frozenset[str]:
        """The texts that mean "no value", as levels are written: "-1.0" means what "-1" does."""
        from .encoder import level_of  # noqa: PLC0415 - imports pyarrow, which commands need not wait for

        return frozenset(map(level_of, self.missing_texts))

    @property
    def encoded(self) -> bool:
        """Whether the model is an inference pipeline, whose first container encodes raw rows."""
        return any(self.imputed) or set(self.kinds) != {"numeric"}

    @property
    def score_width(self) -> int:
        """The length of an answer's list of scores, one per class; 0 where the score is a number."""
        return len(self.classes) if self.predictor_type == "multiclass_classifier" else 0


def read_settings(path: Path) -> JobSettings:
    """Return the settings from a JSON file, or from the one JSON file in a directory. Raises JobError."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        raise JobError(f"{path}: {len(files)} JSON files, want exactly one: the pipeline's settings")
    try:
        return settings_of(json.loads(files[0].read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = f"not the pipeline's settings ({type(error).__name__}: {error})"
        raise JobError(f"{files[0]}: {fault}: write it with Settings.to_json()") from error


def settings_of(document: dict[str, Any]) -> JobSettings:
    """Return the settings of a document."""
    data, split, training = document["data"], document["data"]["split"], document["training"]
    imputed = data["missing"]["impute"]
    pair = (data["negative_label"], data["positive_label"])
    return JobSettings(
        predictor_type=data["predictor_type"],
        target=data["target"],
        classes=pair if data["predictor_type"] == "binary_classifier" else tuple(data["labels"]),
        id_columns=tuple(data["id_columns"]),
        ignored_columns=tuple(data["ignored_columns"]),
        features=tuple(data["features"]),
        kinds=tuple(data["kinds"].get(name, "numeric") for name in data["features"]),
        imputed=tuple("*" in imputed or name in imputed for name in data["features"]),
        missing_texts=tuple(dict.fromkeys(["", *data["missing"]["texts"]])),
        levels=LevelLimits(**data["levels"]),
        format=FileFormat(**data["format"] | {"names": tuple(data["format"]["names"])}),
        on_bad_file=data["on_bad_file"],
        show_values=data["show_values"],
        minimum_rows_per_class=data["minimum_rows_per_class"],
        shares={part: split[part] for part in ("train", "validation", "holdout")},
        salt=split["salt"],
        mini_batch_size=_largest_batch(document),
        content_type=training["content_type"],
        gate=GateSettings(**document["gate"]),
        golden=tuple(document["endpoint"]["golden"]),
        golden_share=document["endpoint"]["golden_share"],
        bad_rows=BadRowLimit(**data["bad_rows"]),
        drift=DriftSettings(**{each.name: document["drift"][each.name] for each in fields(DriftSettings)}),
        memory_bytes=int(document["processing"]["memory_mb"] * 2**20),
        hyperparameters={name: str(value) for name, value in training["hyperparameters"].items()},
        card=document.get("model_card", {}),
    )


def _largest_batch(document: dict[str, Any]) -> int:
    """Return the rows of a batch, the most of those that tuning tries."""
    tuning = document.get("tuning", {"jobs": 0})
    tried = tuning["ranges"]["mini_batch_size"] if tuning["jobs"] else {"values": [], "maximum": None}
    largest = max([tried["maximum"] or 0, *tried["values"]])
    return int(largest or document["training"]["hyperparameters"].get("mini_batch_size", 1000))
