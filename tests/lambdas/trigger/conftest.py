"""A bucket beside the lease table and the state machine that waits."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from lambdas.trigger.start import Pipeline
from tests.lambdas.conftest import table_and_machine


@dataclass(frozen=True)
class Place:
    """The pipeline, and access to its data and runs."""

    pipeline: Pipeline

    def put(self, *keys: str, body: bytes = b"x") -> None:
        for key in keys:
            self.pipeline.s3.put_object(Bucket=self.pipeline.data_bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.pipeline.s3.delete_object(Bucket=self.pipeline.data_bucket, Key=key)

    def name(self) -> str:
        """Return the name of a run on the present data."""
        return f"{self.pipeline.list_data()[0]['fingerprint'][:24]}-01234567"

    def runs(self) -> dict[str, Any]:
        """Return the input of each execution by its name."""
        states = self.pipeline.states
        listed = states.list_executions(stateMachineArn=self.pipeline.state_machine, maxResults=100)["executions"]
        described = [states.describe_execution(executionArn=run["executionArn"]) for run in listed]
        return {run["name"]: json.loads(run["input"]) for run in described}

    def latest(self) -> str:
        """Return the latest wanted run."""
        key = {"endpoint": {"S": self.pipeline.endpoint_name}}
        item = self.pipeline.dynamodb.get_item(TableName=self.pipeline.lease_table, Key=key)["Item"]
        return str(item["latest"]["S"])


@pytest.fixture
def place(clients: dict[str, Any]) -> Place:
    name = f"test-{uuid4().hex[:8]}"
    clients["s3"].create_bucket(Bucket=name)
    clients["s3"].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    machine = table_and_machine(clients, name)
    return Place(Pipeline(name, "raw/", "", machine, "0123456789abcdef", "c0ffee", name, "shop", **clients))
