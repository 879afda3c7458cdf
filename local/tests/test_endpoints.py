"""Endpoints, with the stub container: it answers each line with `<label>:<line>`."""

import concurrent.futures
import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest

from .aws import Aws, packed, refused, unique, until

pytestmark = pytest.mark.cloud
ARN = "arn:aws:sagemaker:us-east-1:123456789012"


def test_a_model_is_served_and_deleted(aws: Aws) -> None:
    name = aws.endpoint("one")
    described = aws.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"] == [
        {
            "VariantName": "AllTraffic",
            "CurrentWeight": 1.0,
            "DesiredWeight": 1.0,
            "CurrentInstanceCount": 1,
            "DesiredInstanceCount": 1,
        }
    ]
    answer = aws.runtime.invoke_endpoint(
        EndpointName=name, Body=b"1\n2", ContentType="text/csv", Accept="text/plain", CustomAttributes="trace=7"
    )
    assert answer["Body"].read() == b"one:1\none:2"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert answer["CustomAttributes"] == "trace=7"
    server = psutil.Process(int(aws.invoke(name, "pid")))
    lines = until(lambda: aws.lines(f"Endpoints/{name}", "AllTraffic/i-") or None)
    assert lines == [f"serving one as {server.pid}"]
    aws.sagemaker.delete_endpoint(EndpointName=name)
    aws.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 0.05})
    until(lambda: not server.is_running() or None)
    found = refused(aws.invoke, endpoint=name, body="1")
    assert found == ("ValidationError", f"Endpoint {name} of account 123456789012 not found.")


def test_an_update_under_load_loses_no_request(aws: Aws) -> None:
    name = aws.endpoint("old")
    target = aws.endpoint_config("new")
    answers: list[tuple[float, str]] = []
    over = threading.Event()

    def post() -> None:
        answers.append((time.monotonic(), aws.invoke(name, "x")))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        posts = []
        aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=target)
        during = aws.sagemaker.describe_endpoint(EndpointName=name)
        assert during["EndpointStatus"] == "Updating"
        assert during["EndpointConfigName"] != target
        assert during["PendingDeploymentSummary"]["EndpointConfigName"] == target
        for number in range(100):  # 50 a second
            posts.append(pool.submit(post))
            over.wait(0.02)
            if number == 50:
                after = aws.settled(name)
        for sent in posts:
            sent.result()
    assert after["EndpointConfigName"] == target
    assert "PendingDeploymentSummary" not in after
    labels = [label for _, label in sorted(answers)]
    assert len(labels) == 100
    assert labels[0] == "old:x"
    assert labels[-1] == "new:x"


def test_an_update_waits_for_the_requests_in_flight(aws: Aws) -> None:
    name = aws.endpoint("slow", DELAY="1.5")
    target = aws.endpoint_config("new")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(aws.invoke, name, "x")
        until(lambda: aws.lines(f"Endpoints/{name}", "AllTraffic") or None)
        aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=target)
        until(lambda: aws.invoke(name, "y") == "new:y" or None)
        assert answer.result() == "slow:x"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            "ping",
            "The primary container for production variant AllTraffic did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint.",
        ),
        ("data", 'Failed to download model data for container "container_1" from URL: "s3://things/models/'),
        ("model", f'Could not find model "{ARN}:model/'),
        (
            "exit",
            "The primary container for production variant AllTraffic did not pass the ping health check: it exited "
            "with code 1. Please check CloudWatch logs for this endpoint.",
        ),
    ],
)
def test_an_update_that_fails_ends_in_service_with_the_old_config_and_a_reason(
    aws: Aws, fault: str, reason: str
) -> None:
    name = aws.endpoint("good")
    old = aws.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    target = aws.endpoint_config("broken", PING="never" if fault == "ping" else "")
    if fault == "data":
        aws.s3.delete_object(Bucket=aws.bucket, Key=f"models/{target}/model.tar.gz")
    if fault == "model":
        aws.sagemaker.delete_model(ModelName=target)
    if fault == "exit":
        aws.put(f"models/{target}/model.tar.gz", packed("other.json", "{}"))
    aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=target)
    after = aws.settled(name)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", old)
    assert after["FailureReason"].startswith(reason)
    assert aws.invoke(name, "x") == "good:x"
    aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=aws.endpoint_config("better"))
    assert "FailureReason" not in aws.settled(name)
    assert aws.invoke(name, "x") == "better:x"


def test_an_endpoint_that_cannot_start_is_failed_and_can_only_be_deleted(aws: Aws) -> None:
    name = unique("endpoint")
    config = aws.endpoint_config("broken", PING="never")
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert aws.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    found = refused(aws.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config)
    assert found == ("ValidationException", f'Cannot update in-progress endpoint "{ARN}:endpoint/{name}".')
    with pytest.raises(aws.sagemaker.exceptions.ClientError):
        aws.sagemaker.delete_endpoint(EndpointName=name)

    def failed() -> dict[str, Any] | None:
        found = aws.sagemaker.describe_endpoint(EndpointName=name)
        return dict(found) if found["EndpointStatus"] == "Failed" else None

    assert "did not pass the ping health check" in until(failed)["FailureReason"]
    with pytest.raises(aws.sagemaker.exceptions.ClientError, match="it can only be deleted"):
        aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    aws.sagemaker.delete_endpoint(EndpointName=name)
    aws.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 0.05})


def test_kill_9_of_a_server_is_answered_by_a_restart(aws: Aws) -> None:
    name = aws.endpoint("one")
    first = int(aws.invoke(name, "pid"))
    os.kill(first, signal.SIGKILL)
    started = time.monotonic()
    second = until(lambda: pid if (pid := int(aws.invoke(name, "pid"))) != first else None)
    assert time.monotonic() - started < 5
    assert psutil.pid_exists(second)


def test_a_server_that_dies_of_each_request_gives_a_clean_error_at_once(aws: Aws) -> None:
    name = aws.endpoint("one")
    client = aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    started = time.monotonic()
    with pytest.raises(client.exceptions.ServiceUnavailable) as caught:
        client.invoke_endpoint(EndpointName=name, Body=b"die")
    assert time.monotonic() - started < 5
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert until(lambda: aws.invoke(name, "x")) == "one:x"


def test_instances_take_turns_and_one_stands_in_for_another(aws: Aws) -> None:
    name = aws.endpoint("two", count=2)
    pids = {aws.invoke(name, "pid") for _ in range(4)}
    assert len(pids) == 2
    os.kill(int(pids.pop()), signal.SIGKILL)
    assert [aws.invoke(name, "x") for _ in range(20)] == ["two:x"] * 20


@pytest.mark.parametrize(
    ("body", "status", "side", "text"),
    [
        (b"bad", 400, "client", "unable to evaluate payload provided"),
        (b"break", 500, "server", "Internal Server Error"),
    ],
)
def test_an_error_of_the_container_is_a_model_error(aws: Aws, body: bytes, status: int, side: str, text: str) -> None:
    name = aws.endpoint("one")
    with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
        aws.invoke(name, body)
    response = caught.value.response
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, text)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    group = f"/aws/sagemaker/Endpoints/{name}"
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
    assert response["Error"]["Message"].startswith(
        f'Received {side} error ({status}) from primary with message "{text}". See '
    )


def test_a_body_above_the_limit_is_refused(aws: Aws) -> None:
    name = aws.endpoint("one")
    assert len(aws.invoke(name, b"7" * 6_291_456)) == 6_291_456 + len("one:")
    with pytest.raises(aws.runtime.exceptions.ValidationError, match="length less than or equal to 6291456"):
        aws.invoke(name, b"7" * 6_291_457)


def test_traffic_follows_the_weights_of_the_variants_or_the_target(aws: Aws) -> None:
    name = unique("endpoint")
    variants = [
        {
            "VariantName": label,
            "ModelName": aws.model(label),
            "InitialInstanceCount": 1,
            "InstanceType": "ml.t2.medium",
            "InitialVariantWeight": weight,
        }
        for label, weight in (("all", 1.0), ("none", 0.0))
    ]
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)
    assert {aws.invoke(name, "x") for _ in range(20)} == {"all:x"}
    assert aws.invoke(name, "x", TargetVariant="none") == "none:x"
    with pytest.raises(aws.runtime.exceptions.ValidationError, match="Variant other not found for Request"):
        aws.invoke(name, "x", TargetVariant="other")


def test_what_is_missing_or_taken_is_named_as_aws_names_it(aws: Aws) -> None:
    config = aws.endpoint_config("one")
    sagemaker = aws.sagemaker
    variant = {"VariantName": "v", "ModelName": "no", "InitialInstanceCount": 1, "InstanceType": "ml.t2.medium"}
    again = [{**variant, "ModelName": config}]
    missing = 'Could not find {} "' + ARN + ':{}/no".'
    endpoint, model = missing.format("endpoint", "endpoint"), missing.format("model", "model")
    exists = f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/{config}".'
    named = {"EndpointName": "no"}
    for call, arguments, message in (
        (sagemaker.describe_endpoint, named, endpoint),
        (sagemaker.delete_endpoint, named, endpoint),
        (sagemaker.update_endpoint, {**named, "EndpointConfigName": config}, endpoint),
        (
            sagemaker.create_endpoint,
            {**named, "EndpointConfigName": "no"},
            missing.format("endpoint configuration", "endpoint-config"),
        ),
        (sagemaker.create_endpoint_config, {"EndpointConfigName": "no", "ProductionVariants": [variant]}, model),
        (sagemaker.create_endpoint_config, {"EndpointConfigName": config, "ProductionVariants": again}, exists),
        (sagemaker.delete_model, {"ModelName": "no"}, model),
    ):
        assert refused(call, **arguments) == ("ValidationException", message)


def test_too_many_instances_are_refused(aws: Aws) -> None:
    with pytest.raises(
        aws.sagemaker.exceptions.ResourceLimitExceeded, match="20 Instances, with a request delta of 21"
    ):
        aws.endpoint_config("one", count=21)


def test_other_paths_of_the_runtime_are_refused(aws: Aws) -> None:
    with pytest.raises(aws.runtime.exceptions.ClientError, match="only InvokeEndpoint runs locally"):
        aws.runtime.invoke_endpoint_async(EndpointName="any", InputLocation="s3://b/k")
