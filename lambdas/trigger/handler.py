"""The Lambda that receives every request for a run."""

import json
import os
from dataclasses import fields
from typing import Any

import boto3

from .start import Pipeline, Request

_PIPELINE = Pipeline(
    **{field.name: os.environ[field.name.upper()] for field in fields(Pipeline) if field.type is str},
    s3=boto3.client("s3"),
    states=boto3.client("stepfunctions"),
    dynamodb=boto3.client("dynamodb"),
)


def handle(event: dict[str, Any], context: Any) -> dict[str, str] | dict[str, list[dict[str, str]]]:
    """Start at most one run for one request, or for SQS's records, of which a bad one fails alone. Raises BadRequest.

    Return `Pipeline.start`'s result, or SQS's partial batch response (Lambda Developer Guide).
    """
    if "Records" not in event:
        return _log(_PIPELINE.start([Request.parse(event, context.aws_request_id)]))
    requests, failures = [], []
    for record in event["Records"]:
        try:
            requests.append(Request.parse(json.loads(record["body"]), record["messageId"]))
        except (ValueError, RecursionError) as error:
            failures.append({"itemIdentifier": record["messageId"]})
            _log({"result": "rejected", "detail": f"message {record['messageId']}: {error}"})
    if requests:
        _log(_PIPELINE.start(requests))
    return {"batchItemFailures": failures}


def _log(result: dict[str, str]) -> dict[str, str]:
    print(json.dumps(result))
    return result
