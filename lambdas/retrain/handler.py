"""What every request for a run comes to: a Lambda that decides whether there is anything to do."""

import json
import os
from typing import Any

import boto3

from .start import Pipeline, Request, start

_PIPELINE = Pipeline(
    bucket=os.environ["DATA_BUCKET"],
    prefix=os.environ["DATA_PREFIX"],
    marker=os.environ.get("DATA_MARKER", ""),
    machine=os.environ["STATE_MACHINE"],
    settings=os.environ["SETTINGS_HASH"],
    commit=os.environ.get("COMMIT", ""),
    lease_table=os.environ["LEASE_TABLE"],
    endpoint=os.environ["ENDPOINT_NAME"],
    s3=boto3.client("s3"),
    states=boto3.client("stepfunctions"),
    dynamodb=boto3.client("dynamodb"),
)
"""Made once a process: its connections stay open from one call to the next."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take SQS's records, or one request as it is.

    However many records a batch has, the data is looked at once and one run is started at the most. A record that is no
    request fails by itself and ends in the dead-letter queue after its tries; any other failure fails the batch.

    Returns:
        For SQS {"batchItemFailures"} (Lambda Developer Guide, "Reporting batch item failures"), else `start`'s answer.

    Raises:
        BadRequest: the event is neither.
    """
    if "Records" not in event:
        return _log(start(_PIPELINE, [Request.of(event, context.aws_request_id)]))
    requests, refused = [], []
    for record in event["Records"]:
        try:
            requests.append(Request.of(json.loads(record["body"]), record["messageId"]))
        except (ValueError, RecursionError) as error:
            refused.append({"itemIdentifier": record["messageId"]})
            _log({"result": "refused", "detail": f"message {record['messageId']}: {error}"})
    if requests:
        _log(start(_PIPELINE, requests))
    return {"batchItemFailures": refused}


def _log(result: dict[str, str]) -> dict[str, str]:
    print(json.dumps(result))
    return result
