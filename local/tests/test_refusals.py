"""Requests are refused with AWS's codes and messages: by botocore's model of the API, then by the service."""

import json
import re
import string
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from local_aws.sagemaker.api import shapes
from local_aws.sagemaker.api.errors import SerializationException, ValidationException

from .aws import ARN, ROLE, Aws, refused, unique
from .test_autoscaling import DIMENSION

SHAPES, REFUSALS = (
    tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))
    for name in ("shapes", "refusals")
)
CASES = [(service, case) for service, cases in REFUSALS.items() for case in cases]
MODEL = botocore.session.get_session().get_service_model("sagemaker")
SHAPE = MODEL.operation_model("CreateProcessingJob").input_shape
GOOD: dict[str, Any] = {
    "ProcessingJobName": "clean-up",
    "RoleArn": ROLE,
    "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
    "Environment": {"COLOUR": "green"},
    "Tags": [{"Key": "owner", "Value": "büro/1 + 2"}],
}


def test_a_good_request_passes() -> None:
    shapes.check(SHAPE, GOOD)


@pytest.mark.parametrize("case", SHAPES["invalid"])
def test_an_invalid_member_is_named(case: dict[str, Any]) -> None:
    with pytest.raises(ValidationException) as caught:
        shapes.check(SHAPE, GOOD | case.get("members", {}) | dict.fromkeys(case.get("null", ())))
    count = max(1, case["message"].count("failed to satisfy constraint"))
    detected = f"{count} validation error{'s' if count > 1 else ''} detected"
    assert caught.value.message == f"{detected}: {case['message']}"


@pytest.mark.parametrize("case", SHAPES["type"])
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


@pytest.fixture(scope="module")
def names(aws: Aws) -> Iterator[dict[str, str]]:
    """The names of existing resources."""
    config, group = aws.endpoint_config("one"), unique("group")
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    scalable = aws.serve(unique("scalable"), config, InstanceType="ml.m5.large")
    endpoint = aws.serve(unique("endpoint"), config)
    made = {"config": config, "model": config, "group": group, "scalable": scalable, "endpoint": endpoint}
    yield {**made, "arn": ARN, "job": aws.trained()["TrainingJobName"]}
    variants = {"ResourceIds": [f"endpoint/{name}/variant/AllTraffic" for name in (scalable, endpoint)]}
    scaling = aws.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker", **variants)["ScalableTargets"] == []


@pytest.mark.parametrize(("service", "case"), CASES, ids=[case["operation"] for _, case in CASES])
def test_a_request_is_refused(aws: Aws, names: dict[str, str], service: str, case: dict[str, Any]) -> None:
    case = json.loads(string.Template(json.dumps(case)).substitute(names))
    request = case["request"]
    match case["operation"]:
        case "create_training_job":
            request = aws.training_request(**request)
        case "create_processing_job":
            request = aws.processing_request(**request)
        case "create_transform_job":
            request = aws.transform_request("none", **{"model": names["model"], **request})
        case _ if service == "application-autoscaling":
            request = DIMENSION | request
    code, message = refused(getattr(aws.client(service), case["operation"]), **request)
    assert code == case.get("code", "ValidationException")
    assert message == case["message"] if "message" in case else case["part"] in message
