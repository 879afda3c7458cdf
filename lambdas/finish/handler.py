"""Finish and FinishFailed of the state machines, and the end of executions that could not call them."""

import os
from dataclasses import fields
from typing import Any

import boto3

from .finish import Finish, aborted, finish

FINISH = Finish(
    **{field.name: os.environ[field.name.upper()] for field in fields(Finish) if field.type is str},
    dynamodb=boto3.client("dynamodb"),
    sns=boto3.client("sns"),
    events=boto3.client("events"),
)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take {"machine", "execution", "state", "failed"}, or EventBridge's status change event; return the document."""
    if "detail" in event:
        return aborted(FINISH, event["detail"])
    return finish(FINISH, event["machine"], event["execution"], event["state"], failed=event["failed"])


def ask(event: dict[str, Any], context: object) -> dict[str, Any]:
    """WaitForApproval: take {"execution", "state", "token"}, keep the token, and notify."""
    return FINISH.ask_approval(event["execution"], event["state"], event["token"])
