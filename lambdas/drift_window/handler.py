"""The first state of the drift machine: a Lambda, because States Language has no date arithmetic."""

import os
from datetime import UTC, datetime
from typing import Any

import boto3

from .collect import Window

_WINDOW = Window(
    bucket=os.environ["DATA_BUCKET"],
    endpoint=os.environ["ENDPOINT_NAME"],
    hours=int(os.environ["WINDOW_HOURS"]),
    ground_truth_days=int(os.environ["GROUND_TRUTH_DAYS"]),
    s3=boto3.client("s3"),
    sagemaker=boto3.client("sagemaker"),
)


def handle(event: dict[str, str], context: Any) -> dict[str, int | str]:
    """Return `Window.collect`'s result for {"execution": its name}."""
    return _WINDOW.collect(event["execution"], datetime.now(UTC))
