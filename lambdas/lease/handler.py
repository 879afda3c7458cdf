"""AcquireLease of the state machines."""

import os
import time
from typing import Any

import boto3

from .lease import Lease, acquire

_LEASE = Lease(
    table=os.environ["LEASE_TABLE"],
    endpoint=os.environ["ENDPOINT_NAME"],
    dynamodb=boto3.client("dynamodb"),
    states=boto3.client("stepfunctions"),
)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take {"execution": ARN, "input", "defaults", "seconds"}; return {"request": the input over the defaults}."""
    given = event["input"] if isinstance(event["input"], dict) else {}
    request = {**event["defaults"], **given}
    acquire(_LEASE, event["execution"], request, now=int(time.time()), seconds=event["seconds"])
    return {"request": request}
