"""Endpoints, with the stub container: it answers each line with `<label>:<line>`."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from .aws import ARN, Aws, packed, refused, unique, until, variant

pytestmark = pytest.mark.cloud
PING = "The primary container for production variant AllTraffic did not pass the ping health check"


def test_a_model_is_served_and_deleted(aws: Aws) -> None:
    name = aws.endpoint("one")
    described = aws.described(name)
    assert described["EndpointStatus"] == "InService"
    weight, count = (
        dict.fromkeys(("CurrentWeight", "DesiredWeight"), 1.0),
        ("CurrentInstanceCount", "DesiredInstanceCount"),
    )
    assert described["ProductionVariants"] == [{"VariantName": "AllTraffic", **weight, **dict.fromkeys(count, 1)}]
    answer = aws.runtime.invoke_endpoint(
        EndpointName=name, Body=b"1\n2", ContentType="text/csv", Accept="text/plain", CustomAttributes="trace=7"
    )
    assert answer["Body"].read() == b"one:1\none:2"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert answer["CustomAttributes"] == "trace=7"
    server = psutil.Process(int(aws.invoke(name, "pid")))
    assert until(lambda: aws.lines(f"Endpoints/{name}", "AllTraffic/i-")) == [f"serving one as {server.pid}"]
    aws.delete(name)
    until(lambda: not server.is_running())
    missing = f"Endpoint {name} of account 123456789012 not found."
    assert refused(aws.invoke, name, "1") == ("ValidationError", missing)


def test_an_update_under_load_loses_no_request(aws: Aws) -> None:
    name, target = aws.endpoint("old"), aws.endpoint_config("new")
    answers: list[tuple[float, str]] = []

    def post() -> None:
        answers.append((time.monotonic(), aws.invoke(name, "x")))

    with ThreadPoolExecutor(8) as pool:
        posts = []
        aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=target)
        during = aws.described(name)
        assert during["EndpointStatus"] == "Updating"
        assert during["EndpointConfigName"] != target
        assert during["PendingDeploymentSummary"]["EndpointConfigName"] == target
        for number in range(100):  # 50 per second
            posts.append(pool.submit(post))
            time.sleep(0.02)
            if number == 50:
                after = aws.settled(name)
        for sent in posts:
            sent.result()
    assert after["EndpointConfigName"] == target
    assert "PendingDeploymentSummary" not in after
    labels = [label for _, label in sorted(answers)]
    assert (len(labels), labels[0], labels[-1]) == (100, "old:x", "new:x")


def test_an_update_waits_for_the_requests_in_flight(aws: Aws) -> None:
    name = aws.endpoint("slow", DELAY="1.5")
    target = aws.endpoint_config("new")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(aws.invoke, name, "x")
        until(lambda: aws.lines(f"Endpoints/{name}", "AllTraffic"))
        aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=target)
        until(lambda: aws.invoke(name, "y") == "new:y")
        assert answer.result() == "slow:x"


def test_an_update_that_fails_ends_in_service_with_the_old_config_and_a_reason(aws: Aws) -> None:
    name = aws.endpoint("good")
    old = aws.described(name)["EndpointConfigName"]
    ping, data, model, program = (
        aws.endpoint_config("broken", PING="never" if fault == "ping" else "") for fault in ("ping", "", "", "")
    )
    aws.s3.delete_object(Bucket=aws.bucket, Key=f"models/{data}/model.tar.gz")
    aws.sagemaker.delete_model(ModelName=model)
    aws.put(f"models/{program}/model.tar.gz", packed("other.json", "{}"))
    for target, reason in (
        (ping, f"{PING}. Please check CloudWatch logs for this endpoint."),
        (data, 'Failed to download model data for container "container_1" from URL: "s3://things/models/'),
        (model, f'Could not find model "{ARN}:model/'),
        (program, f"{PING}: it exited with code 1. Please check CloudWatch logs for this endpoint."),
    ):
        after = aws.update(name, target)
        assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", old)
        assert after["FailureReason"].startswith(reason)
        assert aws.invoke(name, "x") == "good:x"
    assert "FailureReason" not in aws.update(name, aws.endpoint_config("better"))
    assert aws.invoke(name, "x") == "better:x"


def test_an_endpoint_that_cannot_start_is_failed_and_can_only_be_deleted(aws: Aws) -> None:
    name = unique("endpoint")
    both = {"EndpointName": name, "EndpointConfigName": aws.endpoint_config("broken", PING="never")}
    aws.sagemaker.create_endpoint(**both)
    assert aws.described(name)["EndpointStatus"] == "Creating"
    in_progress = f'Cannot update in-progress endpoint "{ARN}:endpoint/{name}".'
    assert refused(aws.sagemaker.update_endpoint, **both) == ("ValidationException", in_progress)
    refused(aws.sagemaker.delete_endpoint, EndpointName=name)
    failed = aws.settled(name)
    assert failed["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in failed["FailureReason"]
    assert "it can only be deleted" in refused(aws.sagemaker.update_endpoint, **both)[1]
    aws.delete(name)


def test_a_server_that_ends_is_restarted(aws: Aws) -> None:
    name = aws.endpoint("one")
    first = int(aws.invoke(name, "pid"))
    os.kill(first, signal.SIGKILL)
    assert psutil.pid_exists(until(lambda: int(aws.invoke(name, "pid")), lambda pid: pid != first, seconds=5))
    started = time.monotonic()
    with pytest.raises(aws.runtime_once.exceptions.ServiceUnavailable) as caught:
        aws.runtime_once.invoke_endpoint(EndpointName=name, Body=b"die")
    assert time.monotonic() - started < 5
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert aws.invoke(name, "x") == "one:x"


def test_instances_take_turns_and_replace_each_other(aws: Aws) -> None:
    name = aws.endpoint("two", count=2)
    pids = {aws.invoke(name, "pid") for _ in range(4)}
    assert len(pids) == 2
    os.kill(int(pids.pop()), signal.SIGKILL)
    assert [aws.invoke(name, "x") for _ in range(20)] == ["two:x"] * 20


def test_errors_of_the_container_are_model_errors_and_large_bodies_are_refused(aws: Aws) -> None:
    name = aws.endpoint("one")
    for body, status, side, text in (
        (b"bad", 400, "client", "unable to evaluate payload provided"),
        (b"break", 500, "server", "Internal Server Error"),
    ):
        with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
            aws.invoke(name, body)
        response = caught.value.response
        assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, text)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
        group = f"/aws/sagemaker/Endpoints/{name}"
        assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
        message = f'Received {side} error ({status}) from primary with message "{text}". See '
        assert response["Error"]["Message"].startswith(message)
    assert len(aws.invoke(name, b"7" * 6_291_456)) == 6_291_456 + len("one:")
    with pytest.raises(aws.runtime.exceptions.ValidationError, match="length less than or equal to 6291456"):
        aws.invoke(name, b"7" * 6_291_457)


def test_traffic_follows_the_weights_of_the_variants_or_the_target(aws: Aws) -> None:
    name = unique("endpoint")
    weights = {"all": 1.0, "none": 0.0}
    variants = [variant(aws.model(label), name=label) | {"InitialVariantWeight": weights[label]} for label in weights]
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)
    assert {aws.invoke(name, "x") for _ in range(20)} == {"all:x"}
    assert aws.invoke(name, "x", TargetVariant="none") == "none:x"
    with pytest.raises(aws.runtime.exceptions.ValidationError, match="Variant other not found for Request"):
        aws.invoke(name, "x", TargetVariant="other")
