"""pipeline.toml -> frozen, typed settings. A typo fails here, before anything is built or deployed."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import BaseModel, ValidationError, model_validator

from pipeline.api_settings import Api
from pipeline.drift_settings import Drift
from pipeline.endpoint_settings import Endpoint, Golden
from pipeline.settings import (
    Data,
    Gate,
    Processing,
    Project,
    Release,
    Table,
    Training,
    Transform,
    Trigger,
)
from pipeline.stage import DEFAULT, Delivery, Network, Stack, at
from pipeline.terms import METRICS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class ConfigError(ValueError):
    """The settings file cannot be used; the message names the file, each wrong key and what is allowed."""


class Settings(Table):
    """Everything pipeline.toml says, checked as a whole."""

    project: Project
    data: Data
    trigger: Trigger = Trigger()
    processing: Processing
    training: Training
    transform: Transform
    gate: Gate
    release: Release = Release()
    endpoint: Endpoint
    api: Api
    network: Network = Network()
    stack: Stack = Stack()
    delivery: Delivery = Delivery()
    drift: Drift = Drift()

    def hyperparameters(self) -> dict[str, str]:
        """Return the HyperParameters of CreateTrainingJob, whose values are all strings; booleans as the guide's."""
        derived: dict[str, Any] = {
            "predictor_type": self.data.predictor_type,
            "feature_dim": len(self.data.features),
        }
        if self.data.predictor_type == "multiclass_classifier":
            derived["num_classes"] = len(self.data.classes)
        merged = {**derived, **self.training.hyperparameters}
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in merged.items()}

    def to_json(self) -> str:
        """Return all that a run depends on as canonical JSON (sorted keys, no spaces): what the jobs read."""
        return json.dumps(
            self.model_dump(mode="json", exclude={"network", "stack", "delivery"}),
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the settings as JSON: runs on the same data under other settings are other runs."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @model_validator(mode="after")
    def _gate_measures_what_the_evaluation_has(self) -> Self:
        rising, falling = METRICS[self.data.predictor_type]
        if not self.gate.minimum and not self.gate.maximum:
            raise ValueError(f"gate has no threshold: set a minimum ({', '.join(rising)}) or a maximum ({falling[0]})")
        for key, bounds, own, other, way, opposite in (
            ("minimum", self.gate.minimum, rising, falling, "smaller", "maximum"),
            ("maximum", self.gate.maximum, falling, rising, "larger", "minimum"),
        ):
            for name, bound in bounds.items():
                if name in other:
                    raise ValueError(f"gate.{key}.{name}: {way} is better, put it under gate.{opposite}")
                if name not in own:
                    raise ValueError(
                        f"gate.{key}.{name} is not measured for {self.data.predictor_type}. Allowed: {', '.join(own)}"
                    )
                if (key == "minimum" and bound > 1) or (key == "maximum" and bound < 0):
                    raise ValueError(f"gate.{key}.{name} = {bound:g} can never be met")
        return self

    @model_validator(mode="after")
    def _golden_rows_fit_the_data(self) -> Self:
        for number, golden in enumerate(self.endpoint.golden, 1):
            place, width = f"endpoint.golden, row {number}", len(self.data.features)
            if len(golden.row) != width:
                raise ValueError(f"{place} has {len(golden.row)} numbers: data.features has {width}")
            self._check_answer(place, golden)
        return self

    def _check_answer(self, place: str, golden: Golden) -> None:
        numeric = golden.value is not None and golden.tolerance is not None
        if self.data.predictor_type == "regressor":
            if golden.label is not None or not numeric:
                raise ValueError(f"{place} must have value and tolerance, and no label: predictor_type is regressor")
        elif golden.value is not None or golden.tolerance is not None or golden.label not in self.data.classes:
            raise ValueError(
                f'{place} has label "{golden.label}": give one of {", ".join(self.data.classes)}'
                " and no value or tolerance"
            )


def load(path: Path | str = "pipeline.toml", stage: str | None = None) -> Settings:
    """Return the settings in the TOML file at `path`, at a stage: STAGE of the environment, or `dev`, unless named.

    Raises:
        ConfigError: the file is missing, not TOML, or a key or value in it is wrong; each is named, with the fix.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the project's folder or name the file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        document = at(document, stage or os.environ.get("STAGE", DEFAULT))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        # A list whose item is wrong is also told to be too short: only the innermost place is of use.
        places = [problem["loc"] for problem in error.errors()]
        problems = [
            f"{path}: {_explain(problem)}"
            for problem in error.errors()
            if not any(other != problem["loc"] and other[: len(problem["loc"])] == problem["loc"] for other in places)
        ]
        raise ConfigError("\n".join(problems)) from error


def _explain(problem: ErrorDetails) -> str:
    *table, key = problem["loc"] or ("",)
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        allowed = list(_model_at(table).model_fields)
        near = get_close_matches(str(key), allowed, 1)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        return f'unknown key "{place}": {hint}Allowed: {", ".join(allowed)}'
    if problem["type"] == "missing":
        return f'missing key "{place}": add it'
    if problem["type"] == "value_error":
        message = str(problem["ctx"]["error"])
        return f"{place}: {message}" if place else message
    return f'key "{place}" = {str(problem["input"])[:80]!r}: {problem["msg"]}'


def _model_at(location: list[str | int]) -> type[BaseModel]:
    """Return the table's model that a validation error's location leads to."""
    model: type[BaseModel] = Settings
    for step in location:
        if isinstance(step, str):
            annotation = model.model_fields[step].annotation
            model = annotation if isinstance(annotation, type) else get_args(annotation)[0]
    return model
