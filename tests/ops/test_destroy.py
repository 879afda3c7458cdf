"""`ops destroy` lists what is the project's, and nothing of a project whose name begins alike."""

import io
import json
import sys

import boto3
import pytest
from local_aws.cloud import ACCOUNT, Cloud

from tests.ops.conftest import PARTS
from tests.ops.test_rights import key_of_user
from tests.ops.typing import typed

pytestmark = pytest.mark.cloud
MD5 = "0123456789abcdef" * 2


def test_what_another_project_made_whose_name_begins_alike_is_not_listed(
    broken: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker, iam = boto3.client("sagemaker"), boto3.client("iam")
    trust = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
        ' "Principal": {"Service": "sagemaker.amazonaws.com"}}]}'
    )
    iam.create_role(RoleName="serving", AssumeRolePolicyDocument=trust)
    image = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
    for project in ("broken", "broken-prod"):
        name = f"{project}-{MD5}"
        role = f"arn:aws:iam::{ACCOUNT}:role/serving"
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image})
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.t2.medium"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
    sagemaker.create_model_package_group(ModelPackageGroupName="gone")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    listed = typed("destroy").out.splitlines()
    assert [line.strip() for line in listed if line.startswith("  ")] == [
        f"endpoint config broken-{MD5}",
        f"model broken-{MD5}",
        "stack broken",
    ]


def test_a_drift_check_that_runs_is_stopped_like_a_run(broken: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    states, iam = boto3.client("stepfunctions"), boto3.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="checking", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    waiting = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}})
    machine = states.create_state_machine(name="gone-drift", definition=waiting, roleArn=role)["stateMachineArn"]
    run = states.start_execution(stateMachineArn=machine)["executionArn"]
    try:
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        assert machine == PARTS["DriftMachine"]
        assert f"  run {run}" in typed("destroy").out.splitlines()
    finally:
        states.stop_execution(executionArn=run)
        states.delete_state_machine(stateMachineArn=machine)


def test_an_endpoint_that_may_not_be_described_stops_it_instead_of_being_left(
    broken: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "sagemaker:DescribeEndpoint", "Resource": "*"}
    for name, value in key_of_user(boto3.client("iam"), [rest, denied]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    answer = typed("destroy")
    assert (answer.code, answer.out) == (1, "")
    assert "not authorized to perform: sagemaker:DescribeEndpoint" in answer.err
