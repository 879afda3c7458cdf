"""Requests are refused in AWS's words, by botocore's model of the API."""

import re
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from local_aws.sagemaker.api import shapes
from local_aws.sagemaker.api.errors import SerializationException, ValidationException

MODEL = botocore.session.get_session().get_service_model("sagemaker")
GOOD: dict[str, Any] = {
    "ProcessingJobName": "clean-up",
    "RoleArn": "arn:aws:iam::123456789012:role/anyone",
    "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
    "Environment": {"COLOUR": "green"},
    "Tags": [{"Key": "owner", "Value": "büro/1 + 2"}],
}


def refused(operation: str, request: Any) -> str:
    with pytest.raises(ValidationException) as caught:
        shapes.check(MODEL.operation_model(operation).input_shape, request)
    return caught.value.message


def changed(**members: Any) -> dict[str, Any]:
    return GOOD | members


def test_a_good_request_passes() -> None:
    shapes.check(MODEL.operation_model("CreateProcessingJob").input_shape, GOOD)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        (
            {"ProcessingJobName": "a_b"},
            "Value 'a_b' at 'processingJobName' failed to satisfy constraint: Member must satisfy regular expression "
            "pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {"ProcessingJobName": ""},
            "Value '' at 'processingJobName' failed to satisfy constraint: Member must have length greater than or "
            "equal to 1; Value '' at 'processingJobName' failed to satisfy constraint: Member must satisfy regular "
            "expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {"ProcessingJobName": "a" * 64},
            f"Value '{'a' * 64}' at 'processingJobName' failed to satisfy constraint: Member must have length less "
            f"than or equal to 63; Value '{'a' * 64}' at 'processingJobName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        ({"RoleArn": None}, "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1",
        ),
        (
            {"ProcessingInputs": [{"InputName": "data", "S3Input": {"S3Uri": "s3://b/k", "S3DataType": "Folder"}}]},
            "Value 'Folder' at 'processingInputs.1.member.s3Input.s3DataType' failed to satisfy constraint: Member "
            "must satisfy enum value set: [ManifestFile, S3Prefix]",
        ),
        (
            {"Environment": {"1": "x"}},
            "Value '1' at 'environment' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z_][a-zA-Z0-9_]*",
        ),
        (
            {"NetworkConfig": {"VpcConfig": {"SecurityGroupIds": ["sg-1"] * 6, "Subnets": []}}},
            f"Value '{['sg-1'] * 6}' at 'networkConfig.vpcConfig.securityGroupIds' failed to satisfy constraint: Member "
            "must have length less than or equal to 5; Value '[]' at 'networkConfig.vpcConfig.subnets' failed to "
            "satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            {"NetworkConfig": {"VpcConfig": {"Subnets": ["subnet-1"] * 17}}},
            "Value null at 'networkConfig.vpcConfig.securityGroupIds' failed to satisfy constraint: Member must not be "
            f"null; Value '{['subnet-1'] * 17}' at 'networkConfig.vpcConfig.subnets' failed to satisfy constraint: "
            "Member must have length less than or equal to 16",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_member(members: dict[str, Any], fault: str) -> None:
    count = fault.count("failed to satisfy constraint")
    plural = "s" if count > 1 else ""
    assert refused("CreateProcessingJob", changed(**members)) == f"{count} validation error{plural} detected: {fault}"


def test_an_unknown_member_is_named_with_its_place() -> None:
    request = changed(AppSpecification={**GOOD["AppSpecification"], "Entry": "x"})
    assert refused("CreateProcessingJob", request) == (
        '1 validation error detected: Unknown parameter in appSpecification: "Entry", must be one of: '
        "ImageUri, ContainerEntrypoint, ContainerArguments"
    )
    shape = MODEL.operation_model("CreateProcessingJob").input_shape
    assert shapes.unknown_members(shape, request | {"Whim": 1}) == ["AppSpecification.Entry", "Whim"]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"ProcessingJobName": 5}, "processingJobName: NUMBER_VALUE can not be converted to a String"),
        ({"Environment": []}, "environment: START_ARRAY can not be converted to a Map"),
        ({"ProcessingInputs": {}}, "processingInputs: START_OBJECT can not be converted to a List"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": "5"}},
            "stoppingCondition.maxRuntimeInSeconds: STRING_VALUE can not be converted to an Integer",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": True}},
            "stoppingCondition.maxRuntimeInSeconds: BOOLEAN_VALUE can not be converted to an Integer",
        ),
    ],
)
def test_a_value_of_another_type_is_a_serialization_error(members: dict[str, Any], fault: str) -> None:
    with pytest.raises(SerializationException, match=re.escape(fault)):
        shapes.check(MODEL.operation_model("CreateProcessingJob").input_shape, changed(**members))


def test_an_answer_has_only_members_of_the_model_and_times_in_seconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
    document = {
        "EndpointName": "e",
        "CreationTime": moment,
        "FailureReason": None,
        "Secret": 1,
        "ProductionVariants": [],
    }
    assert shapes.wire(MODEL.operation_model("DescribeEndpoint").output_shape, document) == {
        "EndpointName": "e",
        "CreationTime": 1767323045.679,
        "ProductionVariants": [],
    }
