"""The JSON documents that a run's jobs left in the data bucket, below runs/{run}/."""

import json
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from ops.account import Account
from ops.runs import Run


class Comparison(TypedDict):
    """Challenger and champion on the same rows, by one metric; `interval` is of the difference."""

    metric: str
    challenger: float
    champion: float
    difference: float
    interval: list[float]


class Evaluation(TypedDict, total=False):
    """evaluation.json. The metrics have the format of SageMaker Model Monitor: curves and a confusion matrix beside
    {"value", "standard_deviation"} by the metric's name."""

    rows: int
    binary_classification_metrics: dict[str, dict[str, Any]]
    multiclass_classification_metrics: dict[str, dict[str, Any]]
    regression_metrics: dict[str, dict[str, Any]]
    comparison: Comparison


class Feature(TypedDict):
    """The statistics of a feature in baseline.json, as far as the report needs them."""

    standard_deviation: float


class Baseline(TypedDict, total=False):
    """baseline.json: counts of rows by what became of them, counts of labels, statistics of features."""

    rows: dict[str, int]
    labels: dict[str, int]
    features: dict[str, Feature]


class FeatureDrift(TypedDict):
    """How far a feature of the requests is from the baseline; `missing` and `out_of_range` are shares."""

    psi: float
    ks: float
    missing: float
    out_of_range: float


class Quality(TypedDict):
    """The live model's metrics by ground truth, and the number of rows that were joined with it."""

    joined: int
    metrics: dict[str, float]


class Drift(TypedDict, total=False):
    """drift.json of a drift check."""

    features: dict[str, FeatureDrift]
    quality: Quality


def evaluation(account: Account, run: Run) -> Evaluation:
    """evaluation.json; empty when the run failed before it."""
    return read(account, f"{run.name}/evaluation/evaluation.json")


def baseline(account: Account, run: Run) -> Baseline:
    """baseline.json; empty when the run failed before it."""
    return read(account, f"{run.name}/baseline/baseline.json")


def read(account: Account, path: str) -> Any:
    """The JSON document at `path`, below runs/; an empty object when there is none."""
    try:
        body = account.s3.get_object(Bucket=account.outputs["DataBucket"], Key=f"runs/{path}")["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return {}
    return json.loads(body)


def section(found: Evaluation) -> dict[str, dict[str, Any]]:
    """The metrics of an evaluation, whatever kind of model it is of; empty when there are none."""
    return (
        found.get("binary_classification_metrics")
        or found.get("multiclass_classification_metrics")
        or found.get("regression_metrics")
        or {}
    )


def metrics(found: Evaluation) -> dict[str, float]:
    """The value of each metric of an evaluation, by name."""
    return {name: entry["value"] for name, entry in section(found).items() if "value" in entry}
