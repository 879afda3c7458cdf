"""Start a run for requests, if there is new data."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from .listing import Data, data_of, list_objects

REASONS = ("upload", "schedule", "drift", "manual", "delivery")
ATTEMPTS = 10  # by one call, before SQS retries the message


class BadRequest(ValueError):
    """The message is not a request for a run."""


class Overtaken(Exception):
    """Other requests changed the latest wanted run during each attempt; the message returns to its queue."""


class Request(NamedTuple):
    """The reason for a run, whether to run again on known data, and the id of the message."""

    reason: str
    force: bool
    id: str

    @staticmethod
    def parse(document: object, message_id: str) -> "Request":
        """Return the request in {"reason", "force"}, whatever other keys there are. Raises BadRequest."""
        keys = document if isinstance(document, dict) else {}
        if keys.get("reason") not in REASONS or not isinstance(keys.get("force", False), bool):
            raise BadRequest(f'want {{"reason": one of {", ".join(REASONS)}, "force": true or false}}')
        return Request(keys["reason"], keys.get("force", False), message_id)


@dataclass(frozen=True)
class Pipeline:
    """The deployed pipeline: each text is the environment variable of that name."""

    data_bucket: str
    data_prefix: str
    data_marker: str
    state_machine: str
    settings_hash: str
    commit: str
    lease_table: str
    endpoint_name: str
    s3: Any
    states: Any
    dynamodb: Any

    def start(self, requests: Sequence[Request]) -> dict[str, str]:
        """Start at most one run for all requests; return {"result", "detail"} and, if one started, its "execution" ARN.

        First the run's name is written as the latest wanted one, so that a run on older data ends as superseded. If
        another request wrote since this one read the item's version, the write fails and the data is listed again: the
        latest name has the latest data, without a comparison of times, which go back when an object is deleted.

        Raises Overtaken: other requests were faster, ATTEMPTS times.
        """
        request = next((request for request in requests if request.force), requests[0])
        suffix = f"-{request.id.replace('-', '')[:8]}" if request.force else ""
        folder = f"s3://{self.data_bucket}/{self.data_prefix}"
        for _ in range(ATTEMPTS):
            latest, version = self._read_latest()
            data, complete = self.list_data()
            if not data["objects"]:
                return {"result": "no data", "detail": f"{folder} is empty: upload a CSV"}
            if not complete:
                return {"result": "waiting", "detail": f"upload {folder}{self.data_marker} after the data"}
            name = f"{data['fingerprint'][:24]}-{self.settings_hash[:8]}{suffix}"
            if status := self._status(name):
                detail = f"run {name} had this data and these settings, and is {status}; --force runs them again"
                return {"result": "nothing new", "detail": detail}
            if (name == latest or self._write_latest(name, version)) and (arn := self._run(name, data, request)):
                return {"result": "started", "detail": f"run {name}, {data['objects']} objects", "execution": arn}
        raise Overtaken(f"{folder}: other requests overtook this one in each of {ATTEMPTS} attempts")

    def list_data(self) -> tuple[Data, bool]:
        """Return the data, without the console's folders, and whether the marker, if there must be one, is as new.

        A multipart upload has the time of its start (S3 User Guide, "Working with object metadata"): a marker that is
        put last is never older than the data.
        """
        listed, marked = list_objects(self.s3, self.data_bucket, self.data_prefix, self.data_marker)
        data = data_of(listed)
        return data, not self.data_marker or marked >= data["newest"]

    def _read_latest(self) -> tuple[str, int]:
        """Return the latest wanted run and the version of the item."""
        key = {"endpoint": {"S": self.endpoint_name}}
        item = self.dynamodb.get_item(TableName=self.lease_table, Key=key, ConsistentRead=True).get("Item", {})
        return item.get("latest", {}).get("S", ""), int(item.get("version", {}).get("N", "0"))

    def _write_latest(self, name: str, version: int) -> bool:
        values = {":name": {"S": name}, ":version": {"N": str(version)}, ":next": {"N": str(version + 1)}}
        with suppress(self.dynamodb.exceptions.ConditionalCheckFailedException):
            self.dynamodb.update_item(
                TableName=self.lease_table,
                Key={"endpoint": {"S": self.endpoint_name}},
                UpdateExpression="SET latest = :name, version = :next",
                ConditionExpression="attribute_not_exists(version) OR version = :version",
                ExpressionAttributeValues=values,
            )
            return True
        return False

    def _status(self, name: str) -> str | None:
        execution = f"{self.state_machine.replace(':stateMachine:', ':execution:')}:{name}"
        with suppress(self.states.exceptions.ExecutionDoesNotExist):
            return str(self.states.describe_execution(executionArn=execution)["status"])
        return None

    def _run(self, name: str, data: Data, request: Request) -> str | None:
        # With the same name and input, AWS would answer a second start as it did the first: the request's id differs.
        version = {"settings": self.settings_hash, "commit": self.commit}
        asked = {"reason": request.reason, "force": request.force, "request": request.id}
        document = {**asked, "data": data, **version}
        arguments = {"stateMachineArn": self.state_machine, "name": name, "input": json.dumps(document)}
        with suppress(self.states.exceptions.ExecutionAlreadyExists):
            return str(self.states.start_execution(**arguments)["executionArn"])
        return None
