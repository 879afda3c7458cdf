"""The first state of the drift check: a Lambda, as States Language cannot count hours back."""

import os
from datetime import UTC, datetime
from typing import Any

import boto3

from .collect import Window, collect

_WINDOW = Window(
    bucket=os.environ["DATA_BUCKET"],
    endpoint=os.environ["ENDPOINT_NAME"],
    hours=int(os.environ["WINDOW_HOURS"]),
    truth_days=int(os.environ["TRUTH_DAYS"]),
    s3=boto3.client("s3"),
    sagemaker=boto3.client("sagemaker"),
)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take {"execution": its name} and return `collect`'s answer."""
    return collect(_WINDOW, event["execution"], datetime.now(UTC))
