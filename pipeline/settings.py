"""What pipeline.toml may say: one frozen model a table, each rule with the reason or the source of its limit."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.terms import HYPERPARAMETERS

PredictorType = Literal["binary_classifier", "multiclass_classifier", "regressor"]

SCHEDULE = r"(rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\))?"


def like(pattern: str, example: str) -> AfterValidator:
    """Return a check that a whole text matches `pattern`; its error shows an example, not the pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not allowed here: write it like {example!r}")
        return value

    return AfterValidator(check)


InstanceType = Annotated[str, like(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", "ml.m5.large")]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
# 5 days is the longest a processing or transform job may run (SageMaker endpoints and quotas).
Minutes = Annotated[int, Field(ge=1, le=7200)]
Count = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(gt=0, lt=1)]


def unique(key: str, names: tuple[str, ...]) -> None:
    """Raise ValueError when a name is listed twice under `key`."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{key} lists {', '.join(twice)} more than once: keep one of each")


class Table(BaseModel):
    """A table of the file: its values never change, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Project(Table):
    """The name every resource starts with; 16 characters, so that `{name}-{kind}-{md5}-{attempt}` fits a job's 63."""

    name: Annotated[str, Field(max_length=16), like("[a-z][a-z0-9]*(-[a-z0-9]+)*", "my-model")]


class Split(Table):
    """Shares of the rows by part, and the salt of the hash that decides which row goes where."""

    train: Share
    validation: Share
    holdout: Share
    salt: Name

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.validation + self.holdout
        if not math.isclose(total, 1):
            raise ValueError(f"train + validation + holdout is {total:g}: the shares must sum to 1")
        return self


class BadRows(Table):
    """How many wrong rows are set aside before data is refused: so many, or this share of all, whichever is more."""

    count: Annotated[int, Field(ge=0)] = 0
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Data(Table):
    """The columns of the CSV and what the target says. Features keep this order everywhere, whatever the CSV's."""

    prefix: Annotated[str, like("([A-Za-z0-9._-]+/)+", "raw/")] = "raw/"
    predictor_type: PredictorType
    target: Name
    positive_label: Name | None = None
    negative_label: Name | None = None
    labels: Names = ()
    id_columns: Names = ()
    features: Annotated[Names, Field(min_length=1)]
    minimum_rows_per_class: Annotated[int, Field(ge=3)]
    bad_rows: BadRows = BadRows()
    split: Split

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels by class number: (negative, positive), the multiclass list, or nothing for regression."""
        if self.negative_label is not None and self.positive_label is not None:
            return (self.negative_label, self.positive_label)
        return self.labels

    @model_validator(mode="after")
    def _columns_have_one_role(self) -> Self:
        unique("features", self.features)
        unique("id_columns", self.id_columns)
        for role, columns in (("features", self.features), ("id_columns", self.id_columns)):
            if self.target in columns:
                raise ValueError(f'{role} lists the target "{self.target}": the model must not see it, take it out')
        both = sorted(set(self.features) & set(self.id_columns))
        if both:
            raise ValueError(f"{', '.join(both)} stands in features and in id_columns: a column has one role")
        return self

    @model_validator(mode="after")
    def _labels_fit_the_predictor_type(self) -> Self:
        needed, given = {
            "binary_classifier": ("positive_label and negative_label, no labels", self._pair and not self.labels),
            "multiclass_classifier": ("labels, and no positive_label or negative_label", not self._either),
            "regressor": ("no positive_label, negative_label or labels", not self._either and not self.labels),
        }[self.predictor_type]
        if not given:
            raise ValueError(f"predictor_type {self.predictor_type} takes {needed}")
        # The SageMaker SDK refuses num_classes below 3 for multiclass_classifier.
        if self.predictor_type == "multiclass_classifier" and len(self.labels) < 3:
            raise ValueError("labels needs at least 3 classes: for two use predictor_type binary_classifier")
        unique("positive_label and negative_label" if self._pair else "labels", self.classes)
        return self

    @property
    def _pair(self) -> bool:
        return self.positive_label is not None and self.negative_label is not None

    @property
    def _either(self) -> bool:
        return self.positive_label is not None or self.negative_label is not None


class Trigger(Table):
    """When a run starts by itself.

    Every event waits `delay_seconds` in a queue (at most 900: SQS, DelaySeconds), so that a burst of uploads is seen as
    one. With a `marker`, an object of that name under the prefix must be newer than the data, or nothing starts.
    `schedule` is an EventBridge rule's (EventBridge User Guide, "Schedule expressions").
    """

    delay_seconds: Annotated[int, Field(ge=0, le=900)] = 2
    marker: Annotated[str, like("([A-Za-z0-9._-]+)?", "_SUCCESS")] = ""
    schedule: Annotated[str, like(SCHEDULE, "rate(7 days)")] = ""


class Transform(Table):
    """The machines of a batch transform job."""

    instance_type: InstanceType
    instance_count: Count = 1
    max_runtime_minutes: Minutes = 60


class WithVolume(Transform):
    """Machines with a volume of 1 to 16384 GB (CreateProcessingJob, VolumeSizeInGB)."""

    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 10


class Processing(WithVolume):
    """The machines of a processing job, and what preprocessing may hold in memory, the libraries themselves aside."""

    memory_mb: Annotated[int, Field(ge=64)] = 256


class Training(WithVolume):
    """The machines of the training job, how the data reaches them, and the linear learner's hyperparameters by name.

    File copies the data to the volume first; FastFile and Pipe stream it (CreateTrainingJob, TrainingInputMode). Of the
    two content types recordio takes half the space of CSV.
    """

    input_mode: Literal["File", "FastFile", "Pipe"] = "File"
    content_type: Literal["text/csv", "application/x-recordio-protobuf"] = "text/csv"
    hyperparameters: dict[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _names_are_the_algorithms(self) -> Self:
        for name in self.hyperparameters:
            if name in {"predictor_type", "feature_dim", "num_classes"}:
                raise ValueError(f"hyperparameters.{name} follows from [data]: take it out")
            if name not in HYPERPARAMETERS:
                near = get_close_matches(name, HYPERPARAMETERS, 1)
                hint = f": did you mean {near[0]}?" if near else ""
                raise ValueError(
                    f"hyperparameters.{name} is not one of the linear learner's{hint}"
                    f" Allowed: {', '.join(sorted(HYPERPARAMETERS))}"
                )
        return self


class Gate(Table):
    """What the challenger must reach on the hold-out before it may go live.

    Beside its own thresholds: to be, at this confidence, not worse than the champion by more than the margin, in units
    of the metric that the two are compared by (pipeline/jobs/comparison.py).
    """

    minimum: dict[str, float] = {}
    maximum: dict[str, float] = {}
    margin: Annotated[float, Field(ge=0)] = 0.01
    confidence: Share = 0.95


class Release(Table):
    """How a new model takes over, who lets it, and how many old ones are kept; an approval has at most 30 days.

    Canary at most 50 %, linear steps 10 to 50 %, waits 0 to 3600 s (API model, BlueGreenUpdatePolicy).
    """

    keep: Annotated[int, Field(ge=1, le=100)] = 5
    approval: Literal["automatic", "manual"] = "automatic"
    approval_hours: Annotated[int, Field(ge=1, le=720)] = 24
    rollout: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    step_percent: Annotated[int, Field(ge=10, le=50)] = 10
    bake_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
