"""A bucket, a lease table and a state machine that waits, on a local AWS without the stack."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest

from lambdas.trigger.start import Pipeline
from local.cloud import ACCOUNT, running

ROLE = f"arn:aws:iam::{ACCOUNT}:role/run"
WAITING = {"StartAt": "Run", "States": {"Run": {"Type": "Wait", "Seconds": 600, "End": True}}}


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


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Any]]:
    with running() as cloud:
        session: Any = boto3.Session("test", "test", region_name=cloud.environment["AWS_REGION"])
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam = session.client("iam", endpoint_url=cloud.endpoint_url)
        iam.create_role(RoleName="run", AssumeRolePolicyDocument=document)
        names = {"s3": "s3", "states": "stepfunctions", "dynamodb": "dynamodb"}
        yield {name: session.client(service, endpoint_url=cloud.endpoint_url) for name, service in names.items()}


@pytest.fixture
def place(clients: dict[str, Any]) -> Place:
    name = f"test-{uuid4().hex[:8]}"
    clients["s3"].create_bucket(Bucket=name)
    clients["s3"].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    clients["dynamodb"].create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    machine = clients["states"].create_state_machine(name=name, definition=json.dumps(WAITING), roleArn=ROLE)
    arn = machine["stateMachineArn"]
    return Place(Pipeline(name, "raw/", "", arn, "0123456789abcdef", "c0ffee", name, "shop", **clients))
