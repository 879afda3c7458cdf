"""FindChampion, WaitForEndpoint and WaitForChampion of the state machines."""

import os
from typing import Any

import boto3
from botocore.config import Config

from .endpoint import find_champion, live_package, wait_for

_ENDPOINT = os.environ["ENDPOINT_NAME"]
_SAGEMAKER = boto3.client("sagemaker", config=Config(retries={"total_max_attempts": 1}))
"""Without retries of its own: the state machine's Retry is what its history shows."""
_CLOUDWATCH = boto3.client("cloudwatch")


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take {"wait_for": "champion", "instances"?, "serverless"?, "replaces"?, "package"?}.

    Or take {"wait_for": "config", "config", "alarms"}. With "package" true, the champion has its model package.
    """
    if event["wait_for"] == "champion":
        wanted = {name: event[name] for name in ("instances", "replaces", "serverless") if name in event}
        found = find_champion(_SAGEMAKER, _ENDPOINT, **wanted)
        return found | ({"package": live_package(_SAGEMAKER, found["config"])} if event.get("package") else {})
    return wait_for(event["config"], _SAGEMAKER, _CLOUDWATCH, _ENDPOINT, event["alarms"])
