"""Requests are refused with AWS's messages, by botocore's model of the API."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from local_aws.sagemaker.api import shapes
from local_aws.sagemaker.api.errors import SerializationException, ValidationException

TABLES = tomllib.loads(Path(__file__).with_name("shapes.toml").read_text(encoding="utf-8"))
MODEL = botocore.session.get_session().get_service_model("sagemaker")
SHAPE = MODEL.operation_model("CreateProcessingJob").input_shape
GOOD: dict[str, Any] = {
    "ProcessingJobName": "clean-up",
    "RoleArn": "arn:aws:iam::123456789012:role/anyone",
    "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
    "Environment": {"COLOUR": "green"},
    "Tags": [{"Key": "owner", "Value": "büro/1 + 2"}],
}


def test_a_good_request_passes() -> None:
    shapes.check(SHAPE, GOOD)


@pytest.mark.parametrize("case", TABLES["invalid"])
def test_an_invalid_member_is_named(case: dict[str, Any]) -> None:
    with pytest.raises(ValidationException) as caught:
        shapes.check(SHAPE, GOOD | case.get("members", {}) | dict.fromkeys(case.get("null", ())))
    count = max(1, case["message"].count("failed to satisfy constraint"))
    detected = f"{count} validation error{'s' if count > 1 else ''} detected"
    assert caught.value.message == f"{detected}: {case['message']}"


@pytest.mark.parametrize("case", TABLES["type"])
def test_a_value_of_another_type_is_a_serialization_error(case: dict[str, Any]) -> None:
    with pytest.raises(SerializationException, match=re.escape(case["message"])):
        shapes.check(SHAPE, GOOD | case["members"])


def test_unknown_members_are_listed_with_their_paths() -> None:
    request = GOOD | {"AppSpecification": {**GOOD["AppSpecification"], "Entry": "x"}, "Whim": 1}
    assert shapes.unknown_members(SHAPE, request) == ["AppSpecification.Entry", "Whim"]


def test_a_response_has_only_members_of_the_model_and_times_in_seconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
    document = {"EndpointName": "e", "CreationTime": moment, "ProductionVariants": []}
    assert shapes.wire(
        MODEL.operation_model("DescribeEndpoint").output_shape, document | {"FailureReason": None, "Secret": 1}
    ) == document | {"CreationTime": 1767323045.679}
