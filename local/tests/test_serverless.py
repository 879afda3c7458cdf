"""Serverless endpoints, with the stub container: it answers each line with `<label>:<line>`."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from .aws import ARN, Aws, refused, template, unique, until

LIMITS = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}


def variant(model: str, **members: Any) -> dict[str, Any]:
    return {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": LIMITS, **members}


def config(aws: Aws, label: str, **environment: str) -> str:
    """A serverless configuration of a new model, with the model's name."""
    name = aws.model(label, **environment)
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name)])
    return name


def endpoint(aws: Aws, label: str, **environment: str) -> str:
    """A serverless endpoint that is in service, or has failed."""
    name = unique("serverless")
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config(aws, label, **environment))
    aws.settled(name)
    return name


def starts(aws: Aws, name: str) -> int:
    """How often its container started; the first time is a trial."""
    return len(aws.lines(f"Endpoints/{name}", "AllTraffic/i-"))


def test_a_request_starts_a_process_which_ends_when_it_is_idle_and_the_next_request_starts_another(aws: Aws) -> None:
    name = endpoint(aws, "one")
    (shown,) = aws.described(name)["ProductionVariants"]
    weight = dict.fromkeys(("CurrentWeight", "DesiredWeight"), 1.0)
    limits = {"CurrentInstanceCount": 0, "CurrentServerlessConfig": LIMITS}
    assert shown == {"VariantName": "AllTraffic", **weight, **limits}
    until(lambda: starts(aws, name) == 1)
    first = psutil.Process(int(aws.invoke(name, "pid")))
    assert aws.invoke(name, "x") == "one:x"
    assert until(lambda: starts(aws, name), lambda count: count > 1) == 2
    until(lambda: not first.is_running())
    assert int(aws.invoke(name, "pid")) != first.pid
    aws.delete(name)


def test_a_cold_start_is_measured_as_overhead(aws: Aws) -> None:
    name = endpoint(aws, "one")
    aws.invoke(name, "x")
    aws.invoke(name, "x")
    cloudwatch = aws.client("cloudwatch")

    def values(metric: str) -> list[float]:
        place = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}]
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=place,
            StartTime=0,
            EndTime=4e9,
            Period=3600,
            Statistics=["SampleCount", "Maximum"],
        )["Datapoints"]
        return [value for point in found for value in (point["SampleCount"], point["Maximum"])]

    _, overhead = until(lambda: values("OverheadLatency"), lambda found: found[:1] == [2])
    ((setups, setup), (_, latency)) = values("ModelSetupTime"), values("ModelLatency")
    assert setups == 1
    assert overhead > setup > latency
    aws.delete(name)


def test_more_requests_at_the_same_time_than_the_limit_are_throttled(aws: Aws) -> None:
    name = endpoint(aws, "slow", DELAY="0.5")

    def answer(_: int) -> str:
        try:
            return aws.invoke(name, "x")
        except ClientError as error:
            return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(answer, range(8)))
    assert found == {"slow:x", "ThrottlingException: Rate exceeded"}
    aws.delete(name)


def test_a_process_that_ends_in_a_request_is_a_model_error_and_the_next_request_starts_another(aws: Aws) -> None:
    name = endpoint(aws, "one")
    with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
        aws.invoke(name, "die")
    assert caught.value.response["OriginalStatusCode"] == 500
    assert aws.invoke(name, "x") == "one:x"
    os.kill(int(aws.invoke(name, "pid")), signal.SIGKILL)
    assert until(lambda: starts(aws, name), lambda count: count > 2)
    aws.delete(name)


@pytest.mark.full
def test_a_process_above_its_memory_ends(aws: Aws) -> None:
    name = endpoint(aws, "large", MEGABYTES="1100")
    with pytest.raises(aws.runtime.exceptions.ModelError, match="The container ended while it worked"):
        aws.invoke(name, "fill")
    assert aws.invoke(name, "x") == "large:x"
    aws.delete(name)


def test_a_request_has_at_most_4_mb(aws: Aws) -> None:
    name = endpoint(aws, "one")
    assert len(aws.invoke(name, b"7" * (4 << 20))) == (4 << 20) + len("one:")
    with pytest.raises(aws.runtime.exceptions.ValidationError, match="length less than or equal to 4194304"):
        aws.invoke(name, b"7" * ((4 << 20) + 1))
    aws.delete(name)


@pytest.mark.full
def test_a_model_that_does_not_start_fails_the_endpoint_before_any_request(aws: Aws) -> None:
    name = endpoint(aws, "broken", PING="never")
    found = aws.described(name)
    assert (found["EndpointStatus"], "did not pass the ping" in found["FailureReason"]) == ("Failed", True)
    aws.delete(name)


def test_a_serverless_endpoint_is_updated_to_another_and_to_instances_but_not_back(aws: Aws) -> None:
    name, other, instances = endpoint(aws, "one"), config(aws, "two"), aws.endpoint_config("three")
    assert aws.update(name, other)["EndpointConfigName"] == other
    assert aws.invoke(name, "x") == "two:x"
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    }
    wanted = {"EndpointName": name, "EndpointConfigName": other}
    message = "DeploymentConfig is not supported for serverless endpoints."
    assert refused(aws.sagemaker.update_endpoint, **wanted, DeploymentConfig=deployment)[1] == message
    assert aws.update(name, instances)["EndpointConfigName"] == instances
    message = f'Cannot update the instance-based endpoint "{ARN}:endpoint/{name}" to serverless.'
    assert refused(aws.sagemaker.update_endpoint, **wanted) == ("ValidationException", message)
    aws.delete(name)


@pytest.mark.parametrize(
    ("request_", "members", "message"),
    [
        ({"DataCaptureConfig": template("capture") | {"InitialSamplingPercentage": 9}}, {}, "data capture"),
        ({}, {"InitialInstanceCount": 1, "InstanceType": "ml.t2.medium"}, "an instance type or count"),
        ({"several": True}, {}, "several production variants"),
        ({}, {"ServerlessConfig": LIMITS | {"MemorySizeInMB": 1500}}, "MemorySizeInMB 1500 is not a multiple of 1024."),
        (
            {},
            {"ServerlessConfig": LIMITS | {"ProvisionedConcurrency": 1}},
            "ProvisionedConcurrency does not run locally.",
        ),
    ],
)
def test_what_a_serverless_configuration_cannot_have_is_refused(
    aws: Aws, request_: dict[str, Any], members: dict[str, Any], message: str
) -> None:
    model, request = aws.model("one"), {**request_}
    variants = [variant(model, **members)]
    if request.pop("several", False):
        variants.append(variant(model, VariantName="Other"))
    found = refused(
        aws.sagemaker.create_endpoint_config, EndpointConfigName=unique("no"), ProductionVariants=variants, **request
    )
    expected = message if message.endswith(".") else f"Serverless endpoints do not support {message}."
    assert found == ("ValidationException", expected)


@pytest.mark.parametrize(
    ("containers", "members", "message"),
    [
        (1, {"EnableNetworkIsolation": True}, "network isolation"),
        (1, {"VpcConfig": {"SecurityGroupIds": ["sg-0"], "Subnets": ["subnet-0"]}}, "VPC configuration"),
        (2, {}, "inference pipelines"),
    ],
)
def test_a_model_that_cannot_be_serverless_is_refused(
    aws: Aws, containers: int, members: dict[str, Any], message: str
) -> None:
    model = aws.pipeline(*[aws.container("one")] * containers, **members)
    found = refused(
        aws.sagemaker.create_endpoint_config, EndpointConfigName=unique("no"), ProductionVariants=[variant(model)]
    )
    assert found == ("ValidationException", f"Serverless endpoints do not support {message}.")
