"""pipeline.toml -> frozen, typed settings. A wrong key or value fails here, before anything is built or deployed."""

import hashlib
import json
import math
import os
import tomllib
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from lambdas.predict import rows
from lambdas.predict.problem import Problem
from pipeline import settings as tables
from pipeline.jobs.shared.metric_names import METRICS
from pipeline.jobs.shared.settings import settings_of
from pipeline.jobs.shared.signature import Signature, signature_of

DEFAULT_STAGE = "dev"
UNREAD_BY_PREPROCESSING = ("gate", "golden_share", "drift", "hyperparameters", "card")
"""The fields of JobSettings on which what preprocessing writes does not depend."""


class ConfigError(ValueError):
    """The settings file is wrong; the message names the file, each wrong key and the allowed values."""


class Settings(tables.Table):
    """All of pipeline.toml, validated as a whole."""

    project: tables.Project
    data: tables.Data
    trigger: tables.Trigger = tables.Trigger()
    processing: tables.Processing
    training: tables.Training
    tuning: tables.Tuning = tables.Tuning()
    transform: tables.Instances
    gate: tables.Gate
    model_card: tables.ModelCard = tables.ModelCard()
    release: tables.Release = tables.Release()
    endpoint: tables.Endpoint
    api: tables.Api
    network: tables.Network = tables.Network()
    stack: tables.Stack = tables.Stack()
    delivery: tables.Delivery = tables.Delivery()
    drift: tables.Drift = tables.Drift()
    score: tables.Score = tables.Score()

    def hyperparameters(self) -> dict[str, str]:
        """Return the HyperParameters of CreateTrainingJob: all values are strings, booleans `true` or `false`."""
        data, given = self.data, self.training.hyperparameters
        # How many columns an encoder makes is learnt from the data: the linear learner then counts them.
        width = {} if data.encoded else {"feature_dim": len(data.features)}
        values = {"predictor_type": data.predictor_type, **width, **given}
        if data.predictor_type == "multiclass_classifier":
            values["num_classes"] = len(data.classes)
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}

    @property
    def asks(self) -> bool:
        """Whether a run may wait for a person's approval."""
        return self.release.approval == "manual" or self.gate.approve_incomparable

    @property
    def asks_if_incomparable(self) -> bool:
        """Whether a run waits for that only if its model cannot be compared with the champion."""
        return self.release.approval == "automatic" and self.gate.approve_incomparable

    def to_json(self) -> str:
        """Return all settings that a run depends on, for the jobs, as canonical JSON (sorted keys, no spaces).

        A golden row is as the API's parser returns it, and has only what it demands.
        """
        document, signature = self._document(), self.api_signature
        document["endpoint"]["golden"] = [
            {**golden.model_dump(exclude={"row"}, exclude_none=True), "row": self._raw_row(golden.row, signature)}
            for golden in self.endpoint.golden
        ]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def _document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"network", "stack", "delivery", "score"})

    @property
    def signature(self) -> Signature:
        """The signature of a model that is trained by these settings."""
        return signature_of(settings_of(self._document()))

    @property
    def api_signature(self) -> rows.Signature:
        """The same signature as the API reads it."""
        signature = self.signature
        return rows.Signature.of(signature.name, json.loads(signature.to_json()))

    @property
    def example(self) -> str:
        """The row that documents show, as the API's parser gives it to the model; empty without one."""
        shown = [self.api.example] if self.api.example else [golden.row for golden in self.endpoint.golden]
        return self._raw_row(shown[0], self.api_signature) if shown else ""

    @property
    def hash(self) -> str:
        """SHA-256 of `to_json` in hex: other settings start another run on the same data."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def preprocessing(self) -> str:
        """All settings that preprocessing depends on, as canonical JSON: others do not change what it writes."""
        read = asdict(settings_of(json.loads(self.to_json())))
        document = {name: value for name, value in read.items() if name not in UNREAD_BY_PREPROCESSING}
        document |= {"instances": self.processing.instance_count, "prefix": self.data.prefix}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @model_validator(mode="after")
    def _gate_thresholds_fit_the_metrics(self) -> Self:
        gate, kind = self.gate, self.data.predictor_type
        rising, falling = METRICS[kind]
        if not gate.minimum and not gate.maximum:
            raise ValueError(f"gate has no threshold: set a minimum ({', '.join(rising)}) or a maximum ({falling[0]})")
        for key, thresholds, own, other, hint in (
            ("minimum", gate.minimum, rising, falling, "smaller is better, put it under gate.maximum"),
            ("maximum", gate.maximum, falling, rising, "larger is better, put it under gate.minimum"),
        ):
            for name, threshold in thresholds.items():
                if name in other:
                    raise ValueError(f"gate.{key}.{name}: {hint}")
                if name not in own:
                    raise ValueError(f"gate.{key}.{name} is not measured for {kind}. Allowed: {', '.join(own)}")
                if (key == "minimum" and threshold > 1) or (key == "maximum" and threshold < 0):
                    raise ValueError(f"gate.{key}.{name} = {threshold:g} can never be met")
        return self

    @model_validator(mode="after")
    def _serverless_is_possible(self) -> Self:
        """What SageMaker refuses of a serverless endpoint (Developer Guide, "Serverless Inference", exclusions)."""
        if not self.endpoint.serverless:
            return self
        refused = {
            'captures no requests, which drift checks read: set capture_percent = 0 and drift.schedule = ""': (
                self.endpoint.capture_percent or self.drift.schedule
            ),
            "uses no VPC: set network.vpc = false": self.network.vpc,
            'shifts the traffic at once: set release.rollout = "all_at_once"': self.release.rollout != "all_at_once",
            "runs no inference pipeline, which categories, booleans and imputed values need: set serverless = false and"
            " an instance_type": self.data.encoded,
        }
        if reasons := [reason for reason, given in refused.items() if given]:
            raise ValueError(f"endpoint.serverless: for such an endpoint SageMaker {'; it '.join(reasons)}")
        return self

    @model_validator(mode="after")
    def _tuning_fits_the_training(self) -> Self:
        tuning, kind = self.tuning, self.data.predictor_type
        if not tuning.jobs:
            return self
        allowed = [tables.LOSS, *(f"validation:{name}" for name in tables.OBJECTIVES[kind])]
        if tuning.objective not in allowed:
            raise ValueError(f'tuning.objective "{tuning.objective}" is no metric of a {kind}: {", ".join(allowed)}')
        for name in tuning.ranges.given:
            if name in self.training.hyperparameters:
                raise ValueError(f"tuning.ranges.{name} is also in training.hyperparameters: take it out of one")
            if name == "positive_example_weight_mult" and kind != "binary_classifier":
                raise ValueError(f"tuning.ranges.{name} is of a binary_classifier only: take it out")
        return self

    @model_validator(mode="after")
    def _an_update_ends_within_its_limit(self) -> Self:
        seconds = self.endpoint.deadline_minutes * 60 + self.release.bakes_seconds
        if seconds > 28_800:  # BlueGreenUpdatePolicy, MaximumExecutionTimeoutInSeconds
            raise ValueError(
                f"endpoint.deadline_minutes and the bakes of [release] are {seconds} s: SageMaker allows an update"
                " 28800 s, so lower bake_seconds or deadline_minutes, or raise step_percent"
            )
        return self

    @model_validator(mode="after")
    def _captured_requests_outlive_the_drift_check(self) -> Self:
        days, read = self.stack.capture_days, max(self.drift.ground_truth_days, math.ceil(self.drift.window_hours / 24))
        if 0 < days <= read:
            raise ValueError(
                f"stack.capture_days = {days}, but a drift check reads {read} days (drift.window_hours and"
                f" ground_truth_days): set at least {read + 1}, or 0 to keep all"
            )
        return self

    @model_validator(mode="after")
    def _uploads_are_not_scored(self) -> Self:
        if self.score.enabled and self.data.prefix.startswith(("score/", "scored/")):
            wrong = f"data.prefix = {self.data.prefix!r}, but files there are scored or have scored rows"
            raise ValueError(f"{wrong}: choose another folder, or set score.enabled = false")
        return self

    @model_validator(mode="after")
    def _an_encoder_is_learnt_on_one_instance(self) -> Self:
        if self.data.encoded and self.processing.instance_count > 1:
            raise ValueError(
                "processing.instance_count is above 1, but data has categorical, boolean or imputed features: their"
                " levels and medians are learnt on one instance, so set it to 1 and choose a larger instance_type"
            )
        return self

    @model_validator(mode="after")
    def _rows_fit_the_data(self) -> Self:
        signature = self.api_signature
        for number, golden in enumerate(self.endpoint.golden, 1):
            place = f"endpoint.golden, row {number}"
            self._check_row(golden.row, signature, place)
            given = golden.model_dump(exclude_none=True).keys() - {"row"}
            score = given <= {"at_least", "at_most"} and self.data.predictor_type != "multiclass_classifier"
            if self.data.predictor_type == "regressor":
                if given != {"value", "tolerance"} and not (given and score):
                    raise ValueError(f"{place} must have value and tolerance, or at_least or at_most, and no label")
            elif given == {"label"}:
                if golden.label not in self.data.classes:
                    allowed = ", ".join(self.data.classes)
                    raise ValueError(f'{place} has label "{golden.label}": give one of {allowed}')
            elif not given or not score:
                allowed = "a label" + ("" if len(self.data.classes) > 2 else ", or at_least or at_most of the score")
                raise ValueError(f"{place} must have {allowed}, and no value or tolerance")
        if self.api.example:
            self._check_row(self.api.example, signature, "api.example")
        return self

    def _check_row(self, row: tables.Row, signature: rows.Signature, place: str) -> None:
        """Raise ValueError when a row does not name the features, or the API would refuse it."""
        if isinstance(row, dict) and (wrong := sorted(row.keys() ^ set(self.data.features))):
            raise ValueError(f"{place} must name each of data.features once: look at {', '.join(wrong)}")
        try:
            self._raw_row(row, signature)
        except Problem as problem:
            faults = problem.errors or [{"detail": problem.detail}]
            words = ", ".join(f"{each.get('column', '')} {each['detail']}".strip() for each in faults)
            advice = "correct the row, or data.kinds and data.missing"
            raise ValueError(f"the API refuses {place}: {words}: {advice}") from None

    def _raw_row(self, row: tables.Row, signature: rows.Signature) -> str:
        """Return a row of the settings as the API's parser gives it to the model. Raises Problem."""
        body = json.dumps({"instances": [row]})
        if len(body) > self.api.max_bytes:
            raise Problem("too-large", f"it has more than api.max_bytes = {self.api.max_bytes} bytes")
        (raw,) = rows.from_instances(body, signature, self.api.max_rows)
        return raw


def load(path: Path | str = "pipeline.toml", stage: str | None = None) -> Settings:
    """Return the settings of the TOML file at `path` for `stage`, by default $STAGE, or else `dev`.

    Raises ConfigError: the file is missing or not TOML, the stage is unknown, or keys or values are wrong (all named).
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Settings.model_validate(at_stage(document, stage or os.environ.get("STAGE", DEFAULT_STAGE)))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the project's folder or name the file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        # A wrong item also makes its list too short for pydantic: report only the innermost place.
        outer = {problem["loc"][:depth] for problem in error.errors() for depth in range(len(problem["loc"]))}
        inner = [problem for problem in error.errors() if problem["loc"] not in outer]
        raise ConfigError("\n".join(f"{path}: {_explain(problem)}" for problem in inner)) from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def at_stage(document: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return the document with the values of [stage.<stage>] over its own. Raises ValueError for an unknown stage."""
    stages = {DEFAULT_STAGE: {}, **document.get("stage", {})}
    if stage not in stages:
        raise ValueError(f'no stage "{stage}": add [stage.{stage}] or choose one of {", ".join(stages)}')
    return _merged({key: value for key, value in document.items() if key != "stage"}, stages[stage])


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _explain(problem: ErrorDetails) -> str:
    *table, key = problem["loc"] or ("",)
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        model: Any = Settings
        for step in table:
            model = model.model_fields[step].annotation if isinstance(step, str) else get_args(model)[0]
            model = get_args(model)[0] if type(None) in get_args(model) else model
        allowed = list(model.model_fields)
        hint = "".join(f'did you mean "{near}"? ' for near in get_close_matches(str(key), allowed, 1))
        return f'unknown key "{place}": {hint}Allowed: {", ".join(allowed)}'
    if problem["type"] == "missing":
        return f'missing key "{place}": add it'
    if problem["type"] == "value_error":
        message = str(problem["ctx"]["error"])
        return f"{place}: {message}" if place else message
    return f'key "{place}" = {str(problem["input"])[:80]!r}: {problem["msg"]}'
