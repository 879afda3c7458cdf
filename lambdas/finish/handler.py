"""Finish and FinishFailed of the state machines, and the end of executions that could not call them."""

import os
from typing import Any

import boto3

from .finish import Finish, aborted, finish

_FINISH = Finish(
    project=os.environ["PROJECT"],
    bucket=os.environ["DATA_BUCKET"],
    table=os.environ["LEASE_TABLE"],
    endpoint=os.environ["ENDPOINT_NAME"],
    topic=os.environ["TOPIC"],
    dynamodb=boto3.client("dynamodb"),
    sns=boto3.client("sns"),
    events=boto3.client("events"),
)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take {"machine", "execution", "state", "failed"}, or EventBridge's status change event; return the document.

    AWS delivers the event at best effort, so the machines' own last states do not rely on it.
    """
    if "detail" in event:
        return aborted(_FINISH, event["detail"])
    return finish(_FINISH, event["machine"], event["execution"], event["state"], failed=event["failed"])


def ask(event: dict[str, Any], context: object) -> dict[str, Any]:
    """WaitForApproval: take {"execution", "state", "token"}, keep the token, and notify."""
    return _FINISH.ask_approval(event["execution"], event["state"], event["token"])
