"""The handler of AWS's blog post of 2018: the baseline of a cold start."""

import csv  # noqa: F401  # the post imports it
import io  # noqa: F401
import json
import os
from typing import Any

import boto3

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
runtime = boto3.client("runtime.sagemaker")  # type: ignore[call-overload]


def lambda_handler(event: dict[str, Any], context: Any) -> str:
    """Predict one CSV row in `data`; logs the event and the answer."""
    print("event: " + json.dumps(event))
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT_NAME, ContentType="text/csv", Body=event["data"])
    result = json.loads(answer["Body"].read().decode())
    print(result)
    return "M" if int(result["predictions"][0]["predicted_label"]) == 1 else "B"
