"""Whether there is anything to do, and the start of the run that does it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .data import Data, listed

REASONS = ("upload", "schedule", "drift", "manual", "delivery")
LOOKS = 10
"""How often the data is listed again because another request was faster, before SQS is left to try later."""


class BadRequest(ValueError):
    """What was sent is no request for a run."""


class Overtaken(Exception):
    """Others changed the newest wanted run at every look; the message goes back to its queue."""


@dataclass(frozen=True)
class Request:
    """Why a run is asked for, whether known data is to run again, and the id of the message that asks."""

    reason: str
    force: bool
    id: str

    @staticmethod
    def of(document: Any, message_id: str) -> "Request":
        """Return the request in {"reason", "force"}; other keys are for whoever reads the queue. Raises BadRequest."""
        wanted = f'want {{"reason": one of {", ".join(REASONS)}, "force": true or false}}'
        if not isinstance(document, dict):
            raise BadRequest(wanted)
        reason, force = document.get("reason"), document.get("force", False)
        if reason not in REASONS or not isinstance(force, bool):
            raise BadRequest(wanted)
        return Request(reason, force, message_id)


@dataclass(frozen=True)
class Pipeline:
    """What is retrained, from where, and the clients to do it with."""

    bucket: str
    prefix: str
    marker: str
    machine: str
    settings: str
    commit: str
    lease_table: str
    endpoint: str
    s3: Any
    states: Any
    dynamodb: Any


def start(pipeline: Pipeline, requests: Sequence[Request]) -> dict[str, str]:
    """Start one run for all requests, or none; return {"result", "detail"} and, when started, "execution".

    Before a run is started, its name is written down as the newest wanted one, so that a run on older data ends as
    superseded. The write counts looks: when another was written since this one's count was read, it is refused and the
    data listed anew. So the newest name is always from the newest look, without comparing clocks, or the objects'
    times, which go back when an object is deleted.

    Raises:
        Overtaken: others were faster, LOOKS times.
    """
    asked = next((request for request in requests if request.force), requests[0])
    for _ in range(LOOKS):
        latest, looks = _wanted(pipeline)
        data = listed(pipeline.s3, pipeline.bucket, pipeline.prefix, pipeline.marker)
        folder = f"s3://{pipeline.bucket}/{pipeline.prefix}"
        if not data.objects:
            return {"result": "no data", "detail": f"{folder} is empty: upload a CSV"}
        if not data.complete:
            return {"result": "held back", "detail": f"until {folder}{pipeline.marker} is put after the data"}
        suffix = f"-{asked.id.replace('-', '')[:8]}" if asked.force else ""
        name = f"{data.fingerprint[:24]}-{pipeline.settings[:8]}{suffix}"
        if (status := _status(pipeline, name)) is not None:
            return _nothing_new(name, status)
        if name == latest or _want(pipeline, name, data, looks):
            return _begin(pipeline, name, data, asked)
    raise Overtaken(f"{LOOKS} looks at {folder}, and each was overtaken by another")


def _wanted(pipeline: Pipeline) -> tuple[str, int]:
    """The newest wanted run and the number of looks so far."""
    key = {"endpoint": {"S": pipeline.endpoint}}
    item = pipeline.dynamodb.get_item(TableName=pipeline.lease_table, Key=key, ConsistentRead=True).get("Item", {})
    return item.get("latest", {}).get("S", ""), int(item.get("looks", {}).get("N", "0"))


def _want(pipeline: Pipeline, name: str, data: Data, looks: int) -> bool:
    try:
        pipeline.dynamodb.update_item(
            TableName=pipeline.lease_table,
            Key={"endpoint": {"S": pipeline.endpoint}},
            UpdateExpression="SET latest = :name, newest = :newest, looks = :next",
            ConditionExpression="attribute_not_exists(looks) OR looks = :looks",
            ExpressionAttributeValues={
                ":name": {"S": name},
                ":newest": {"S": data.newest},
                ":looks": {"N": str(looks)},
                ":next": {"N": str(looks + 1)},
            },
        )
    except pipeline.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _begin(pipeline: Pipeline, name: str, data: Data, asked: Request) -> dict[str, str]:
    document = {
        "reason": asked.reason,
        "data": data.summary(),
        "settings": pipeline.settings,
        "commit": pipeline.commit,
        # Without it, AWS would answer a second start with this name and input as if it were the first.
        "request": asked.id,
    }
    try:
        execution = pipeline.states.start_execution(
            stateMachineArn=pipeline.machine, name=name, input=json.dumps(document)
        )["executionArn"]
    except pipeline.states.exceptions.ExecutionAlreadyExists:
        return _nothing_new(name, "RUNNING")
    return {"result": "started", "detail": f"run {name}, {len(data.objects)} objects", "execution": execution}


def _status(pipeline: Pipeline, name: str) -> str | None:
    execution = f"{pipeline.machine.replace(':stateMachine:', ':execution:')}:{name}"
    try:
        return str(pipeline.states.describe_execution(executionArn=execution)["status"])
    except pipeline.states.exceptions.ExecutionDoesNotExist:
        return None


def _nothing_new(name: str, status: str) -> dict[str, str]:
    detail = f"run {name} had this data and these settings, and is {status}; --force runs them again"
    return {"result": "nothing new", "detail": detail}
