"""A lease table and a state machine that waits, on a local AWS without the stack."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from local_aws.cloud import ACCOUNT, running

from tests.conftest import UNMEASURED

ROLE = f"arn:aws:iam::{ACCOUNT}:role/run"
WAITING = {"StartAt": "Run", "States": {"Run": {"Type": "Wait", "Seconds": 600, "End": True}}}


@pytest.fixture(scope="session")
def clients() -> Iterator[dict[str, Any]]:
    with running(environment=UNMEASURED) as cloud:
        session: Any = boto3.Session(
            cloud.credentials.key, cloud.credentials.secret, region_name=cloud.environment["AWS_REGION"]
        )
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam = session.client("iam", endpoint_url=cloud.endpoint_url)
        iam.create_role(RoleName="run", AssumeRolePolicyDocument=document)
        names = {"s3": "s3", "states": "stepfunctions", "dynamodb": "dynamodb"}
        yield {name: session.client(service, endpoint_url=cloud.endpoint_url) for name, service in names.items()}


def table_and_machine(clients: dict[str, Any], name: str) -> str:
    """Create a lease table and a state machine of this name; return the machine's ARN."""
    clients["dynamodb"].create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    machine = clients["states"].create_state_machine(name=name, definition=json.dumps(WAITING), roleArn=ROLE)
    return str(machine["stateMachineArn"])
