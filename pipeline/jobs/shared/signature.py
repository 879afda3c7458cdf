"""A model's signature: the rows that it takes, and what its answers mean. It is made of the settings alone."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from .errors import JobError
from .settings import JobSettings

LARGEST = 1e30
"""The largest absolute value of a number: the linear learner sums products in float32, whose limit is 3.4e38."""


@dataclass(frozen=True)
class FeatureSignature:
    """An input of the model; a value of one that is `imputed` may be missing."""

    name: str
    kind: str  # "numeric", "categorical" or "boolean"
    imputed: bool


@dataclass(frozen=True)
class Signature:
    """The features in the model's order and its classes by number; a regressor has no classes.

    `missing_texts` mean "no value". `positive_class` is that of a binary classifier's score, else "". `largest` is the
    largest absolute value of a number.
    """

    predictor_type: str
    target: str
    features: tuple[FeatureSignature, ...]
    missing_texts: tuple[str, ...]
    classes: tuple[str, ...]
    positive_class: str
    largest: float

    def to_json(self) -> str:
        """Return the document as canonical JSON (sorted keys, no spaces)."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def name(self) -> str:
        """The first 16 hex digits of the document's SHA-256."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @property
    def variant(self) -> str:
        """The name of the production variant whose model has this signature: each answer comes with it."""
        return f"signature-{self.name}"

    @property
    def encoded(self) -> bool:
        """Whether the model is an inference pipeline, whose first container encodes raw rows."""
        return any(feature.imputed or feature.kind != "numeric" for feature in self.features)


def signature_of(settings: JobSettings) -> Signature:
    """Return the signature of a model that is trained by these settings."""
    columns = zip(settings.features, settings.kinds, settings.imputed, strict=True)
    return Signature(
        predictor_type=settings.predictor_type,
        target=settings.target,
        features=tuple(FeatureSignature(*column) for column in columns),
        missing_texts=tuple(sorted(settings.missing_texts)),
        classes=settings.classes,
        positive_class=settings.classes[1] if settings.predictor_type == "binary_classifier" else "",
        largest=LARGEST,
    )


def settings_under(signature: Signature, settings: JobSettings) -> JobSettings:
    """Return the settings with the columns and the classes of a signature, to read what a model of it reads."""
    return replace(
        settings,
        predictor_type=signature.predictor_type,
        target=signature.target,
        features=tuple(feature.name for feature in signature.features),
        kinds=tuple(feature.kind for feature in signature.features),
        imputed=tuple(feature.imputed for feature in signature.features),
        missing_texts=signature.missing_texts,
        classes=signature.classes,
    )


def read_signature(path: Path) -> Signature:
    """Return the signature of a document, or of the one JSON file in a directory. Raises JobError."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        raise JobError(f"{path}: {len(files)} JSON files, want exactly one: a model's signature")
    try:
        fields = json.loads(files[0].read_text(encoding="utf-8"))
        features = tuple(FeatureSignature(**feature) for feature in fields["features"])
        lists = {"missing_texts": tuple(fields["missing_texts"]), "classes": tuple(fields["classes"])}
        return Signature(**{**fields, "features": features, **lists})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{files[0]}: not a model's signature ({type(error).__name__}: {error})") from error
