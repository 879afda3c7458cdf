"""The requests in refusals.toml are refused with AWS's codes and messages."""

import json
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .aws import ARN, Aws, refused, unique

REFUSALS = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8"))
CASES = [(service, case) for service, cases in REFUSALS.items() for case in cases]


@pytest.fixture(scope="module")
def names(aws: Aws) -> Iterator[dict[str, str]]:
    """The names of existing resources."""
    config, group = aws.endpoint_config("one"), unique("group")
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    scalable = aws.serve(unique("scalable"), config, InstanceType="ml.m5.large")
    endpoint = aws.serve(unique("endpoint"), config)
    made = {"config": config, "model": config, "group": group, "scalable": scalable, "endpoint": endpoint}
    yield {**made, "arn": ARN, "job": aws.trained()["TrainingJobName"]}
    targets = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker",
        ResourceIds=[f"endpoint/{name}/variant/AllTraffic" for name in (scalable, endpoint)],
    )
    assert targets["ScalableTargets"] == []


@pytest.mark.cloud
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
            request = {
                "ServiceNamespace": "sagemaker",
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                **request,
            }
    code, message = refused(getattr(aws.client(service), case["operation"]), **request)
    assert code == case.get("code", "ValidationException")
    assert message == case["message"] if "message" in case else case["part"] in message
