"""`ops destroy` lists what is the project's, and nothing of a project whose name begins alike."""

import io
import sys

import boto3
import pytest
from local_aws.cloud import ACCOUNT, Cloud

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
