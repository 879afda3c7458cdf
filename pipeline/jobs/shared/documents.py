"""The JSON documents that the jobs write and read."""

from typing import Literal, NotRequired, TypedDict, final

import numpy as np

from .arrow import Floats

ConfusionMatrix = dict[str, dict[str, int]]  # {actual class: {predicted class: rows}}
Metrics = dict[str, dict[str, float] | ConfusionMatrix | dict[str, list[float]]]
"""Metrics have `value` and `standard_deviation`; curves their coordinates by the model-quality schema's keys."""


class _Statistics(TypedDict):
    count: int
    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    percentiles: list[float]
    bins: dict[str, list[float]]


@final
class Distribution(_Statistics, total=False):
    """The distribution of a column's values; `percentiles` are the 99 from 1 % to 99 %.

    `bins` has `edges`, and `counts` of the values up to each and above the last: one more count than edges. A feature
    that is imputed also has the share of rows in which it is `missing`; the rest is of the other rows.
    """

    missing: float


@final
class Categories(TypedDict):
    """The rows by level of a categorical or boolean feature, and the share of rows in which it is missing.

    All levels of the data are there, also rare ones. Those of a boolean feature are "false" and "true", in this order.
    """

    kind: Literal["categorical", "boolean"]
    levels: dict[str, int]
    missing: float


def distribution(values: Floats) -> Distribution:
    """Return the distribution of values (shape (rows,)), with bins between the deciles that differ."""
    values = np.sort(values)  # once: the rest is then several times as fast
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="lower"))
    edges = edges[edges < values[-1]]
    counts = np.diff(np.searchsorted(values, edges, "right"), prepend=0, append=len(values))
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "minimum": float(values[0]),
        "maximum": float(values[-1]),
        "percentiles": np.quantile(values, np.arange(1, 100) / 100).tolist(),
        "bins": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


class Baseline(TypedDict, total=False):
    """baseline.json: rows, features, and `labels` (rows by class) or, for regression, `target`.

    `rows` are those `read`, `refused`, `repeated` (in another file too), `replaced` (by a later upload with their ids)
    and `contradicting` (with the features of a row of another class), then those of each part. `parts` has the rows of
    each part by class. `left_out` has why each file that was set aside was; the reason names it. `quantiles` has the
    `rows` that percentiles and bins are of, and `rank_error`, a share, at 99 % certainty.
    """

    rows: dict[str, int]
    parts: dict[str, dict[str, int]]
    left_out: list[str]
    quantiles: dict[str, float]
    features: dict[str, Distribution | Categories]
    labels: dict[str, int]
    target: Distribution


class Profile(TypedDict, total=False):
    """profile.json: the answers on the hold-out. `labels` are rows by predicted class; multiclass has no `score`.

    `histogram` has `edges`, and the `counts` between them by the true label (`error` for regression).
    """

    labels: dict[str, int]
    score: Distribution
    histogram: dict[str, list[float] | dict[str, list[int]]]


class FeatureEffect(TypedDict, total=False):
    """The effects of a feature, each a number per output of the model: one, or a multiclass model's classes.

    Of a numeric or boolean one `weight` is for each unit; of a categorical one `levels` has those of the kept levels,
    and `other` that of the rest. `missing` is that of a missing value, `mean` that over the rows of the baseline.
    """

    name: str
    kind: str
    weight: list[float]
    levels: dict[str, list[float]]
    other: list[float]
    missing: list[float]
    mean: list[float]


class Explanation(TypedDict, total=False):
    """explanation.json: on `scale` a score is `base` plus each feature's effect less its mean; empty if it is not."""

    scale: str
    base: list[float]
    features: list[FeatureEffect]


class SmokeRow(TypedDict, total=False):
    """A row of smoke.json, raw CSV text, and the model's answer to it; regression has no `label`."""

    row: str
    label: str
    score: float | list[float]


class Champion(TypedDict, total=False):
    """champion.json: whether the live model's answers can be compared, and the `reason` if not; its classes by number.

    If nothing is live, it is of a model with the settings' own signature.
    """

    comparable: bool
    reason: str
    classes: list[str]


class Scoring(TypedDict):
    """scoring.json: the run's folder with the hold-out as the champion reads it, and its content type.

    It is there if the champion can be compared: the state machine then lets it score these rows.
    """

    holdout: str
    content_type: str


class Comparison(TypedDict):
    """Challenger against champion; `difference` and its `interval` are positive where the challenger is better."""

    metric: str
    challenger: float
    champion: float
    difference: float
    interval: list[float]
    confidence: float


class GoldenRows(TypedDict):
    """The number of golden rows, the share of them that the challenger answers rightly, and which it does not."""

    rows: int
    share: float
    wrong: str


class _Decided(TypedDict):
    accepted: bool
    reason: str


@final
class Decision(_Decided, total=False):
    """The quality gate's decision, the reason as a sentence, and whether the champion is comparable, if there is one.

    `status` is that of the model package if it is accepted.
    """

    comparable: bool
    status: Literal["Approved", "PendingManualApproval"]


class CardMetric(TypedDict):
    """A number of a model card, and what it means."""

    name: str
    type: Literal["number"]
    value: float
    notes: NotRequired[str]


class CardGroup(TypedDict):
    """Numbers of a model card that belong together."""

    name: str
    metric_data: list[CardMetric]


class CardEvaluation(TypedDict):
    """An evaluation in a model card."""

    name: str
    evaluation_observation: str
    metric_groups: list[CardGroup]


class ModelCard(TypedDict):
    """The content of a model package's card; texts have at most 2048 characters."""

    intended_uses: dict[str, str]
    training_details: dict[str, object]
    evaluation_details: list[CardEvaluation]
    additional_information: dict[str, object]


class Tuning(TypedDict):
    """The tuning job that the model comes from, and the hyperparameters that it chose, as texts."""

    job: str
    hyperparameters: dict[str, str]


class Evaluation(TypedDict, total=False):
    """evaluation.json: the section of its predictor type, and `champion` and `comparison` where there is a champion.

    `card` is the model's card, for its package. `tuning` is there if the hyperparameters were tuned.
    `golden` is there if the settings have golden rows; these are in no other figure.
    """

    rows: int
    golden: GoldenRows
    champion: Champion
    binary_classification_metrics: Metrics
    multiclass_classification_metrics: Metrics
    regression_metrics: Metrics
    comparison: Comparison
    decision: Decision
    card: ModelCard
    tuning: Tuning


class Drift(TypedDict, total=False):
    """How far a column's values moved: the population stability index, Kolmogorov-Smirnov's distance, and each breach.

    Features have the shares `missing` and `out_of_range` of their values too; a level is out of range that the training
    data lack; the most frequent ones are in `unknown`. Levels and predicted classes have `counts`, and no `ks`.
    """

    psi: float
    ks: float
    missing: float
    out_of_range: float
    counts: dict[str, float]
    unknown: dict[str, int]
    reasons: list[str]


class LiveQuality(TypedDict):
    """The live model's metrics by ground truth: `truths` labels, `joined` to rows; `unknown` labels are left out."""

    truths: int
    joined: int
    unknown: int
    metrics: dict[str, float]
    breaches: list[str]


class DriftReport(TypedDict, total=False):
    """drift.json: window.json's run and times (ISO 8601, UTC), and the drift; `wanted` is the least number of rows."""

    run: str
    since: str
    until: str
    rows: int
    requests: int
    unreadable: int
    verdict: Literal["none", "drift", "not enough data"]
    breaches: list[str]
    features: dict[str, Drift]
    predictions: Drift
    labels: Drift
    wanted: int
    quality: LiveQuality
