"""Deletes old endpoint configs and models."""

import os
from typing import Any

import boto3

from .cleanup import cleanup

_SAGEMAKER = boto3.client("sagemaker")


def handle(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """Take {"keep": number of the newest to leave alone} and return the names of what was deleted."""
    return cleanup(_SAGEMAKER, os.environ["PROJECT"], os.environ["ENDPOINT_NAME"], int(event["keep"]))
