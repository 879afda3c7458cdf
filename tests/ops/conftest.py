"""A local AWS with nothing deployed for the settings, and in it a stack whose resources are deleted."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from local_aws.cloud import ACCOUNT, Cloud, running

from tests.conftest import SHIPPED, UNMEASURED

MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:gone"
PARTS = {
    **dict.fromkeys(("DataBucket", "Endpoint", "ModelPackageGroup", "TriggerFunction", "Lease"), "gone"),
    **dict.fromkeys(("StateMachine", "DeployMachine"), MACHINE),
    "DriftMachine": f"{MACHINE}-drift",
    "Topic": f"arn:aws:sns:us-east-1:{ACCOUNT}:gone",
    "ApiUrl": "https://gone.execute-api.us-east-1.amazonaws.com/v1/",
}


@pytest.fixture(scope="session")
def bare() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_ACCOUNT_CONCURRENCY", "1000")  # as on AWS; the local default is lower
        with running(environment=UNMEASURED) as cloud:
            yield cloud


@pytest.fixture
def empty(bare: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The account before the first deployment."""
    for name, value in bare.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIPELINE_CONFIG", str(SHIPPED))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which keeps the credentials of an earlier local AWS
    return bare


@pytest.fixture
def broken(empty: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A stack whose outputs name resources that are deleted."""
    config = tmp_path / "pipeline.toml"
    config.write_text(SHIPPED.read_text().replace('name = "breast-cancer"', 'name = "broken"', 1))
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    outputs = "".join(f"\n  {name}: {{Value: '{value}'}}" for name, value in PARTS.items())
    template = f"Resources:\n  Topic: {{Type: 'AWS::SNS::Topic'}}\nOutputs:{outputs}\n"
    stacks = boto3.client("cloudformation")
    if not any(stack["StackName"] == "broken" for stack in stacks.describe_stacks()["Stacks"]):
        stacks.create_stack(StackName="broken", TemplateBody=template)
        stacks.get_waiter("stack_create_complete").wait(StackName="broken", WaiterConfig={"Delay": 1})
    return empty
