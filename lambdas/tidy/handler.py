"""Deletes the endpoint configs and models of runs long past."""

import os
from typing import Any

import boto3

from .old import tidy

_SAGEMAKER = boto3.client("sagemaker")


def handle(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """`keep`, the number of the newest to leave alone; returns the names of what was deleted."""
    return tidy(_SAGEMAKER, os.environ["PROJECT"], os.environ["ENDPOINT_NAME"], int(event["keep"]))
