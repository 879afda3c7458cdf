"""The tables of pipeline.toml: one frozen model per table, each rule with the reason or the source of its limit."""

import math
import re
from difflib import get_close_matches
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def like(pattern: str, example: str) -> AfterValidator:
    """Return a check that a whole text matches `pattern`; its error shows an example, not the pattern."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value):
            return value
        raise ValueError(f"{value!r} is not allowed here: write it like {example!r}")

    return AfterValidator(check)


# EventBridge User Guide, "Schedule expressions"; "" is no schedule.
SCHEDULE = r"(rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\))?"
Schedule = Annotated[str, like(SCHEDULE, "rate(7 days)")]
INSTANCE_TYPE = r"ml\.[a-z0-9-]+\.[a-z0-9-]+"
InstanceType = Annotated[str, like(INSTANCE_TYPE, "ml.m5.large")]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Count = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(gt=0, lt=1)]
VolumeGB = Annotated[int, Field(ge=1, le=16384)]  # CreateProcessingJob, VolumeSizeInGB


def unique(key: str, names: tuple[str, ...]) -> None:
    """Raise ValueError when a name is listed twice under `key`."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{key} lists {', '.join(twice)} more than once: keep one of each")


class Table(BaseModel):
    """A table of the file: its values never change, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Project(Table):
    """The name that starts each resource's name. A job's `{name}-{kind}-{md5}-{attempt}` has at most 63 characters."""

    name: Annotated[str, Field(max_length=16), like("[a-z][a-z0-9]*(-[a-z0-9]+)*", "my-model")]

    @property
    def made(self) -> str:
        """The pattern of the models and endpoint configs of its runs: the names of `shop` begin as `shop-prod`'s do."""
        return f"{self.name}-[0-9a-f]{{32}}"

    @property
    def batch_models(self) -> str:
        """The pattern of the models of its batch scorings, which delete them unless they are aborted."""
        return f"{self.name}-batch-[0-9a-f]{{32}}"


class Split(Table):
    """Shares of the rows by part, and the salt of the hash that assigns each row to a part."""

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
    """The limit of quarantined rows per run: `count` rows or `share` of all rows, whichever is more."""

    count: Annotated[int, Field(ge=0)] = 0
    share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Missing(Table):
    """The texts that mean "no value", beside the empty text, and the features that are then filled in ("*": all)."""

    texts: Names = ()
    impute: Names = ()


class Levels(Table):
    """The levels of categorical features: rarer ones become "other", more than `maximum` are wrong."""

    minimum_rows: Annotated[int, Field(ge=1)] = 5
    maximum: Annotated[int, Field(ge=2, le=10_000)] = 100


Sign = Annotated[str, Field(max_length=1)]


class Format(Table):
    """How the text files are written. `names` are all columns in order, for files without a header.

    `symbols` are signs that are taken off numbers, such as "%$"; `comment` starts a line that is skipped.
    """

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Sign = '"'
    decimal: Annotated[str, like("[.,]", ",")] = "."
    thousands: Sign = ""
    header: bool = True
    names: Names = ()
    encoding: Annotated[str, Field(min_length=1)] = "utf-8"
    comment: Sign = ""
    symbols: str = ""

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        try:
            "a".encode(self.encoding)  # not codecs.lookup, which also finds codecs of bytes
        except LookupError:
            raise ValueError(f"encoding {self.encoding!r} is unknown: write it like 'utf-8' or 'latin-1'") from None
        if self.header == bool(self.names):
            raise ValueError("names go with header = false: list every column of the file in order, or neither")
        if not (self.separator + self.quote).isascii():
            raise ValueError("separator and quote must be ASCII signs, such as a semicolon")
        # A number in quotes may have the separator in it: "1,234.50".
        for signs in ((self.separator, self.quote, self.comment), (self.decimal, self.thousands)):
            if len(given := [sign for sign in signs if sign]) != len(set(given)):
                raise ValueError("separator, quote and comment, and decimal and thousands, must be different signs")
        unique("names", self.names)
        return self


Kind = Literal["numeric", "categorical", "boolean"]


class Data(Table):
    """The columns of the files and the labels of the target. The pipeline keeps this order of features, not a file's.

    `id_columns` name a row: a later upload with the same ids replaces it. `kinds` are of the features that are no
    numbers. With `on_bad_file` "quarantine" a file that cannot be read is set aside, and the run goes on without it.
    Errors of jobs, which are in logs and notifications, have a value's place; with `show_values` the value, too.
    """

    prefix: Annotated[str, like("([A-Za-z0-9._-]+/)+", "raw/")] = "raw/"
    predictor_type: Literal["binary_classifier", "multiclass_classifier", "regressor"]
    target: Name
    positive_label: Name | None = None
    negative_label: Name | None = None
    labels: Names = ()
    id_columns: Names = ()
    ignored_columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    features: Annotated[Names, Field(min_length=1)]
    kinds: dict[str, Kind] = {}
    missing: Missing = Missing()
    levels: Levels = Levels()
    format: Format = Format()
    on_bad_file: Literal["fail", "quarantine"] = "fail"
    show_values: bool = False
    minimum_rows_per_class: Annotated[int, Field(ge=3)]
    bad_rows: BadRows = BadRows()
    split: Split

    def kind(self, feature: str) -> Kind:
        """The kind of a feature's values."""
        return self.kinds.get(feature, "numeric")

    def imputed(self, feature: str) -> bool:
        """Whether missing values of a feature are filled in."""
        return "*" in self.missing.impute or feature in self.missing.impute

    @property
    def encoded(self) -> bool:
        """Whether the model is an inference pipeline, whose first container encodes raw rows."""
        return any(self.kind(name) != "numeric" or self.imputed(name) for name in self.features)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels by class number: (negative, positive), the multiclass list, or nothing for regression."""
        if self.negative_label is not None and self.positive_label is not None:
            return (self.negative_label, self.positive_label)
        return self.labels

    @model_validator(mode="after")
    def _columns_and_labels_fit(self) -> Self:
        roles = {name: getattr(self, name) for name in ("features", "id_columns", "ignored_columns")}
        for role, columns in roles.items():
            unique(role, columns)
            if self.target in columns:
                raise ValueError(f'{role} lists the target "{self.target}": the model must not see it, take it out')
        for (one, columns), (other, others) in combinations(roles.items(), 2):
            if both := sorted(set(columns) & set(others)):
                raise ValueError(f"{', '.join(both)} is in {one} and in {other}: a column has one role")
        for key, named in (("kinds", [*self.kinds]), ("missing.impute", [*self.missing.impute])):
            if unknown := sorted({*named} - {*self.features, "*"} | ({"*"} & {*self.kinds})):
                raise ValueError(f"{key} names {', '.join(unknown)}, which is not in features")
        pair = [label for label in (self.negative_label, self.positive_label) if label is not None]
        needed, given = {
            "binary_classifier": ("positive_label and negative_label, no labels", len(pair) == 2 and not self.labels),
            "multiclass_classifier": ("labels, and no positive_label or negative_label", not pair),
            "regressor": ("no positive_label, negative_label or labels", not pair and not self.labels),
        }[self.predictor_type]
        if not given:
            raise ValueError(f"predictor_type {self.predictor_type} takes {needed}")
        # The SageMaker SDK refuses num_classes below 3 for multiclass_classifier.
        if self.predictor_type == "multiclass_classifier" and len(self.labels) < 3:
            raise ValueError("labels needs at least 3 classes: for two use predictor_type binary_classifier")
        unique("positive_label and negative_label" if pair else "labels", self.classes)
        return self


class Trigger(Table):
    """The events that start a run. Each waits `delay_seconds` in a queue (SQS, DelaySeconds): a burst starts one run.

    With a `marker`, no run starts until an object of that name under the prefix is newer than the data.
    """

    delay_seconds: Annotated[int, Field(ge=0, le=900)] = 2
    marker: Annotated[str, like("([A-Za-z0-9._-]+)?", "_SUCCESS")] = ""
    schedule: Schedule = ""


class Instances(Table):
    """The instances of a job. A processing or transform job runs 5 days at most (SageMaker endpoints and quotas)."""

    instance_type: InstanceType
    instance_count: Count = 1
    max_runtime_minutes: Annotated[int, Field(ge=1, le=7200)] = 60


class Processing(Instances):
    """The instances of a processing job, and the memory of preprocessing's data in MB, without the libraries."""

    volume_gb: VolumeGB = 10
    memory_mb: Annotated[int, Field(ge=64)] = 256


_NAMES = """
    accuracy_top_k balance_multiclass_weights beta_1 beta_2 bias_lr_mult bias_wd_mult early_stopping_patience
    binary_classifier_model_selection_criteria early_stopping_tolerance epochs f_beta huber_delta init_bias
    init_method init_scale init_sigma l1 learning_rate loss loss_insensitivity lr_scheduler_factor
    lr_scheduler_minimum_lr lr_scheduler_step margin mini_batch_size momentum normalize_data normalize_label
    num_calibration_samples num_models num_point_for_scaler optimizer positive_example_weight_mult quantile
    target_precision target_recall unbias_data unbias_label use_bias use_lr_scheduler wd
"""
HYPERPARAMETERS = sorted(_NAMES.split())
"""The linear learner's names (Developer Guide, "Linear learner hyperparameters"), without those derived from [data]."""


class Training(Instances):
    """The instances of the training job, its input (CreateTrainingJob, TrainingInputMode) and its hyperparameters.

    With `spot` the job takes spare capacity, which AWS may take back; SageMaker then trains from the start. The job has
    `max_wait_minutes` to end, waits included: SageMaker gives 60 to an algorithm that writes no checkpoints (Developer
    Guide, "Managed Spot Training").
    """

    volume_gb: VolumeGB = 10
    spot: bool = False
    max_wait_minutes: Annotated[int, Field(ge=1, le=60)] = 60
    input_mode: Literal["File", "FastFile", "Pipe"] = "File"
    content_type: Literal["application/x-recordio-protobuf", "text/csv"] = "application/x-recordio-protobuf"
    hyperparameters: dict[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _spot_job_can_end(self) -> Self:
        if self.spot and self.max_runtime_minutes > self.max_wait_minutes:
            wrong = f"max_runtime_minutes = {self.max_runtime_minutes} is above max_wait_minutes"
            raise ValueError(f"{wrong} = {self.max_wait_minutes}, which includes it: lower it, or set spot = false")
        return self

    @model_validator(mode="after")
    def _hyperparameters_exist(self) -> Self:
        for name in self.hyperparameters:
            if name in {"predictor_type", "feature_dim", "num_classes"}:
                raise ValueError(f"hyperparameters.{name} follows from [data]: take it out")
            if name not in HYPERPARAMETERS:
                near = "".join(f": did you mean {near}?" for near in get_close_matches(name, HYPERPARAMETERS, 1))
                allowed = ", ".join(HYPERPARAMETERS)
                raise ValueError(f"hyperparameters.{name} is not one of the linear learner's{near} Allowed: {allowed}")
        return self


class Range(Table):
    """The values of one hyperparameter that tuning tries: all of `values`, or numbers from `minimum` to `maximum`."""

    minimum: float | None = None
    maximum: float | None = None
    values: Annotated[tuple[bool | int | float, ...], Field(strict=False, max_length=30)] = ()

    @property
    def given(self) -> bool:
        """Whether the hyperparameter is tuned."""
        return self != Range()


TUNED: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-5, 1.0),
    "wd": (1e-7, 1.0),
    "l1": (1e-7, 1.0),
    "mini_batch_size": (100, 5000),
    "use_bias": (False, True),
    "positive_example_weight_mult": (1e-5, 1e5),
}
"""The linear learner's hyperparameters that can be tuned, and their limits (Developer Guide, "Tune a linear learner
model")."""


class Ranges(Table):
    """The hyperparameters that are tuned."""

    learning_rate: Range = Range()
    wd: Range = Range()
    l1: Range = Range()
    mini_batch_size: Range = Range()
    use_bias: Range = Range()
    positive_example_weight_mult: Range = Range()

    @property
    def given(self) -> dict[str, Range]:
        """The ranges by name, without those that are not given."""
        return {name: each for name in TUNED if (each := getattr(self, name)).given}

    @model_validator(mode="after")
    def _ranges_are_allowed(self) -> Self:
        for name, each in self.given.items():
            (low, high), flag = TUNED[name], name == "use_bias"
            ends = [each.minimum, each.maximum]
            if flag or each.values:
                tried: list[float] = [*each.values]
                if any(end is not None for end in ends) or not tried:
                    write = "{ values = [true, false] }" if flag else "values, or minimum and maximum"
                    raise ValueError(f"{name}: give it as {write}")
                unique(f"{name}.values", tuple(map(str, tried)))
            else:
                tried = [end for end in ends if end is not None]
                if len(tried) < 2 or tried[0] >= tried[1]:
                    raise ValueError(f"{name}: give a minimum and a larger maximum, or values")
            if any(isinstance(value, bool) != flag for value in tried):
                raise ValueError(f"{name}: its values are {'true and false' if flag else 'numbers'}")
            if not all(low <= value <= high for value in tried):
                raise ValueError(f"{name}: SageMaker tunes it from {low:g} to {high:g}")
            if name == "mini_batch_size" and not all(float(value).is_integer() for value in tried):
                raise ValueError(f"{name}: its values are whole numbers")
        return self


OBJECTIVES: dict[str, tuple[str, ...]] = {
    "binary_classifier": ("binary_classification_accuracy", "binary_f_beta", "precision", "recall", "roc_auc_score"),
    "multiclass_classifier": (
        *("dcg", "macro_f_beta", "macro_precision", "macro_recall"),
        *("multiclass_accuracy", "multiclass_top_k_accuracy"),
    ),
    "regressor": ("absolute_loss", "mse", "rmse"),
}
"""The linear learner's metrics on the validation rows that tuning may ask for, beside the loss that it minimises."""
LOSS = "validation:objective_loss"


class Tuning(Table):
    """The tuning of hyperparameters in place of one training job: off with 0 `jobs`.

    `parallel` of the `jobs` run at the same time (SageMaker's quotas per tuning job: 750 and 10). `objective` is a
    metric of the linear learner on the validation rows.
    """

    jobs: Annotated[int, Field(ge=0, le=750)] = 0
    parallel: Annotated[int, Field(ge=1, le=10)] = 2
    strategy: Literal["Bayesian", "Random", "Grid"] = "Bayesian"
    objective: str = LOSS
    early_stopping: bool = False
    ranges: Ranges = Ranges()

    @property
    def maximises(self) -> bool:
        """Whether a larger objective is better."""
        return not self.objective.endswith(("loss", "mse"))

    @property
    def rounds(self) -> int:
        """How many training jobs run one after another."""
        return math.ceil(self.jobs / self.parallel)

    @model_validator(mode="after")
    def _search_is_possible(self) -> Self:
        given = self.ranges.given
        if not self.jobs:
            return self
        if not given:
            raise ValueError(f"ranges names no hyperparameter: give a range to one of {', '.join(TUNED)}, or jobs = 0")
        if self.early_stopping and self.objective != LOSS:
            # Developer Guide, "Stop Training Jobs Early": the others are measured once, at the end.
            raise ValueError(f'early_stopping needs objective = "{LOSS}", which each epoch measures')
        if self.objective == LOSS and "positive_example_weight_mult" in given:
            raise ValueError(
                "ranges.positive_example_weight_mult changes the loss itself, so jobs cannot be compared by it: choose"
                " another objective"
            )
        if self.strategy == "Grid":
            if numbers := [name for name, each in given.items() if not each.values]:
                raise ValueError(f"ranges.{numbers[0]}: the strategy Grid takes values, not a minimum and a maximum")
            if self.jobs != (combinations := math.prod(len(each.values) for each in given.values())):
                raise ValueError(f"jobs = {self.jobs}, but the grid has {combinations} combinations: set this number")
        return self


class Gate(Table):
    """The thresholds of the hold-out's metrics, and the allowed loss against the champion in the compared metric.

    With `approve_incomparable` a run asks for a person's approval if its model cannot be compared with the champion.
    """

    minimum: dict[str, float] = {}
    maximum: dict[str, float] = {}
    margin: Annotated[float, Field(ge=0)] = 0.01
    confidence: Share = 0.95
    approve_incomparable: bool = False


CardText = Annotated[str, Field(max_length=2048)]  # model card schema


class ModelCard(Table):
    """What a person says in the card of every model package; the evaluation adds data, metrics and weights."""

    purpose: CardText = ""
    intended_uses: CardText = ""
    factors: CardText = ""
    risk_rating: Literal["Low", "Medium", "High", "Unknown"] = "Unknown"
    risk_explanation: CardText = ""
    ethics: CardText = ""
    caveats: CardText = ""


class Release(Table):
    """The rollout of a model (limits of the API model's BlueGreenUpdatePolicy), its approval and how many to keep."""

    keep: Count = 5
    approval: Literal["automatic", "manual"] = "automatic"
    approval_hours: Annotated[int, Field(ge=1, le=720)] = 24
    rollout: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    step_percent: Annotated[int, Field(ge=10, le=50)] = 10
    bake_seconds: Annotated[int, Field(ge=0, le=3600)] = 300

    @property
    def bakes_seconds(self) -> int:
        """All waits of an update: after each step of the traffic, and before the old instances end."""
        steps = math.ceil(100 / self.step_percent) if self.rollout == "linear" else 1
        return (steps + 1) * self.bake_seconds


Cell = Annotated[float, Field(allow_inf_nan=True)] | bool | str | None
"""A value of a raw row; None is a missing one."""
Row = Annotated[tuple[Cell, ...], Field(strict=False)] | dict[str, Cell]


class Golden(Table):
    """A row with a known prediction, which the smoke test posts; the row is in the features' order, or by name.

    It demands a label, a score `at_least` or `at_most`, or for regression a value within a tolerance.
    """

    row: Row
    label: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    value: float | None = None
    tolerance: Annotated[float, Field(gt=0)] | None = None


class Serverless(Table):
    """The memory of a serverless endpoint, which decides on its share of a CPU, and its calls at the same time.

    The limits are those of the API model's ProductionVariantServerlessConfig.
    """

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144]
    max_concurrency: Annotated[int, Field(ge=1, le=200)]


class Score(Instances):
    """Batch scoring: the instances of its jobs, of which `instance_count` score, and when it begins and what it writes.

    Without a schedule, each upload under score/ is scored at once; else the uploads since the last time together. Each
    row gets the largest `contributions` of its features. A file under scored/ is in the format of its input unless
    `format` is another one.
    """

    enabled: bool = True
    instance_type: InstanceType = "ml.m5.large"
    volume_gb: VolumeGB = 10
    schedule: Schedule = ""
    format: Literal["input", "csv", "parquet"] = "input"
    contributions: Annotated[int, Field(ge=0, le=100)] = 0


class Endpoint(Table):
    """The instances that serve, or `serverless`, the deadline of an update, its bakes aside, and the golden rows.

    A stage turns off what it does not want: `instance_type = ""`, or `serverless = false`.

    `latency_ms` is the mean ModelLatency that sets an alarm, which rolls a deployment back: a linear model that takes a
    second for a request has a fault.

    If `max_instances` is above `instance_count`, Application Auto Scaling keeps each instance at `calls_per_minute`. It
    refuses burstable instances (SageMaker Developer Guide, "Configure model auto scaling").
    """

    instance_type: Annotated[str, like(rf"({INSTANCE_TYPE})?", "ml.m5.large")] = ""
    serverless: Annotated[Serverless | None, BeforeValidator(lambda value: None if value is False else value)] = None
    instance_count: Count = 1
    max_instances: Annotated[int, Field(ge=0, le=100)] = 0
    calls_per_minute: Annotated[int, Field(ge=0)] = 0
    deadline_minutes: Annotated[int, Field(ge=1, le=480)] = 30
    latency_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    capture_percent: Annotated[int, Field(ge=0, le=100)] = 100
    golden: Annotated[tuple[Golden, ...], Field(strict=False)] = ()
    golden_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def autoscaled(self) -> bool:
        """Whether the variant is autoscaled."""
        return self.max_instances > self.instance_count

    @model_validator(mode="after")
    def _has_instances_or_none(self) -> Self:
        if not self.instance_type and not self.serverless:
            raise ValueError('instance_type, such as "ml.m5.large", or serverless is missing: add one of them')
        if self.instance_type and self.serverless:
            wrong = f"instance_type = {self.instance_type} and serverless exclude each other"
            raise ValueError(f'{wrong}: set instance_type = "", or serverless = false')
        if self.serverless and (self.instance_count > 1 or self.max_instances or self.calls_per_minute):
            wrong = "instance_count, max_instances and calls_per_minute are of instances, and serverless has none"
            raise ValueError(f"{wrong}: take them out; serverless.max_concurrency limits the calls at the same time")
        return self

    @model_validator(mode="after")
    def _can_be_autoscaled(self) -> Self:
        if 0 < self.max_instances < self.instance_count:
            wrong = f"max_instances = {self.max_instances} is below instance_count = {self.instance_count}"
            raise ValueError(f"{wrong}: give at least as many, or 0 for no autoscaling")
        if self.autoscaled and re.match(r"ml\.t\d", self.instance_type):
            wrong = f"max_instances: {self.instance_type} is burstable, which SageMaker does not autoscale"
            raise ValueError(f"{wrong}: set instance_type to another, such as ml.m5.large, or max_instances to 0")
        if self.autoscaled and not self.calls_per_minute:
            raise ValueError("calls_per_minute is the target of autoscaling per instance: give at least 1")
        return self


class Api(Table):
    """The route of the API, its authentication and its limits. With `metering` each call also needs an API key.

    An explained prediction (`?explain=true`) has the largest `contributions` of its features; with 0 there are none.

    `example` is a row by feature for the API's documents and `ops predict`; without it the first golden row is.

    10,000 requests/s and a burst of 5,000 are API Gateway's account quotas; a synchronous Lambda invocation takes 6 MB.
    `waf_rate` is the limit of calls per address in 5 minutes, at least 10 (AWS WAF, rate-based rules).
    """

    path: Annotated[str, like("(/[A-Za-z0-9._-]+)+", "/predict")]
    auth: Literal["iam", "cognito", "none"] = "iam"
    user_pool: Annotated[str, like("(arn:[a-z-]+:cognito-idp:.+:userpool/.+)?", "arn:aws:cognito-idp:…")] = ""
    rate_per_second: Annotated[float, Field(gt=0, le=10_000)] = 50
    burst: Annotated[int, Field(ge=1, le=5_000)] = 100
    max_rows: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    max_bytes: Annotated[int, Field(ge=1, le=6_000_000)] = 1_000_000
    metering: bool = False
    calls_per_day: Annotated[int, Field(ge=0)] = 0
    cors_origin: Annotated[str, like(r"(\*|https?://[A-Za-z0-9.:-]+)?", "https://example.org")] = ""
    waf_rate: Annotated[int, Field(ge=0, le=2_000_000_000)] = 0
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 0
    rollout: Literal["all_at_once", "canary"] = "all_at_once"
    contributions: Annotated[int, Field(ge=0, le=100)] = 5
    example: dict[str, Cell] = {}

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.auth == "cognito") != bool(self.user_pool):
            raise ValueError("auth cognito and user_pool go together: give the ARN of an existing user pool")
        if self.auth == "none" and not self.waf_rate:
            raise ValueError("auth none is open to everybody: set waf_rate, or choose iam or cognito")
        if self.calls_per_day and not self.metering:
            raise ValueError("calls_per_day counts by key: set metering = true")
        if 0 < self.waf_rate < 10:
            raise ValueError("waf_rate must be 0 (no WAF) or at least 10 calls in 5 minutes")
        return self


class Network(Table):
    """With `vpc` the jobs and the endpoint run in the stack's own VPC, which reaches only S3."""

    vpc: bool = False


Days = Annotated[int, Field(ge=0, le=3650)]


class Stack(Table):
    """The stack around the pipeline. The budget is in US dollars per month, 0 for none.

    After so many days (0: never) S3 deletes captured requests with their ground truth, the rows of runs, and uploads.
    For `cache_days` (0: not at all) later runs with the same data and data settings take a run's preprocessed rows;
    without a value for 30 days, or as long as S3 keeps them.
    """

    keep_data: bool = True
    log_days: Literal[7, 30, 90, 180, 365] = 90
    capture_days: Days = 90
    rows_days: Days = 90
    cache_days: Days = Field(default_factory=lambda stack: min(30, (stack.get("rows_days") or 31) - 1))
    upload_days: Days = 0
    monthly_budget: Annotated[int, Field(ge=0)] = 0
    email: Annotated[str, like("([^@ ]+@[^@ ]+)?", "team@example.com")] = ""

    @model_validator(mode="after")
    def _rows_outlive_the_runs_that_take_them(self) -> Self:
        # A run takes a day at most (DEADLINE_HOURS), its tuning aside.
        if 0 < self.rows_days <= self.cache_days:
            wrong = f"cache_days = {self.cache_days}, but S3 deletes rows after rows_days = {self.rows_days}"
            raise ValueError(f"{wrong}: set cache_days to {self.rows_days - 1} or less; 0 always preprocesses anew")
        return self


class Delivery(Table):
    """The source of the code: a GitHub repository, through a connection of CodeConnections."""

    repository: Annotated[str, like("([^/ ]+/[^/ ]+)?", "team/pipeline")] = ""
    branch: Name = "main"
    connection: Annotated[str, like("(arn:[a-z-]+:code(star-)?connections:.+)?", "arn:aws:codeconnections:…")] = ""


class Drift(Table):
    """The schedule of the drift check, which compares live traffic with the live model's training data, and its limits.

    A population stability index of 0.2 is the usual limit (Siddiqi, "Credit Risk Scorecards", 2006). `ks` limits the
    Kolmogorov-Smirnov distance. Drift is above the limit and also significant, over all comparisons of a window.
    """

    schedule: Schedule = "rate(1 day)"
    window_hours: Annotated[int, Field(ge=1, le=168)] = 24
    ground_truth_days: Annotated[int, Field(ge=1, le=90)] = 7
    minimum_rows: Annotated[int, Field(ge=100)] = 200
    psi: Annotated[float, Field(gt=0)] = 0.2
    ks: Share = 0.1
    missing: Share = 0.05
    out_of_range: Share = 0.05
    significance: Share = 0.001
    retrain: Literal["never", "new data", "always"] = "new data"
