"""The JSON documents that a run's jobs left in the data bucket, below runs/{run}/."""

import json
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from ops.account import Account

METRICS = ("binary_classification_metrics", "multiclass_classification_metrics", "regression_metrics")
"""The metrics of evaluation.json have the format of SageMaker Model Monitor, under one of these keys."""


class Comparison(TypedDict):
    """Challenger and champion on the same rows, by one metric; `interval` is of the difference."""

    metric: str
    challenger: float
    champion: float
    difference: float
    interval: list[float]


class Drift(TypedDict, total=False):
    """drift.json: psi, ks, missing and out_of_range of each feature, and the metrics by ground truth."""

    features: dict[str, dict[str, float]]
    quality: dict[str, Any]


class Evaluation(TypedDict, total=False):
    """evaluation.json without its metrics, which `measured` returns; `rows` of the hold-out."""

    rows: int
    comparison: Comparison


def measured(found: Evaluation) -> dict[str, dict[str, Any]]:
    """{"value", "standard_deviation"} by metric, with curves and a confusion matrix; empty when there are none."""
    sections: Any = found
    return next((sections[key] for key in METRICS if key in sections), {})


def read(account: Account, run: str, file: str) -> Any:
    """A JSON document of a run, such as evaluation/evaluation.json; an empty object when the run failed before it."""
    try:
        body = account.s3.get_object(Bucket=account.outputs["DataBucket"], Key=f"runs/{run}/{file}")["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return {}
    return json.loads(body)
