"""The yardstick of a cold start: what the post of 2018 has its function do at import and at each call."""

import csv  # noqa: F401  # imported there, too
import io  # noqa: F401
import json
import os
from typing import Any

import boto3

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
runtime = boto3.client("runtime.sagemaker")


def lambda_handler(event: dict[str, Any], context: Any) -> str:
    """One CSV row in `data`, its label back; event and answer go to the log."""
    print("event: " + json.dumps(event))
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT_NAME, ContentType="text/csv", Body=event["data"])
    result = json.loads(answer["Body"].read().decode())
    print(result)
    return "M" if int(result["predictions"][0]["predicted_label"]) == 1 else "B"
