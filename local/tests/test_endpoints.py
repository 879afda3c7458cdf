"""Endpoints and their data capture, with the stub container: it answers each line with `<label>:<line>`."""

import base64
import json
import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from local_aws.sagemaker.hosting.model_server import free_port

from .aws import ARN, ROLE, Aws, packed, refused, template, unique, until, variant
from .test_registry import group, package


@pytest.fixture(scope="module")
def served(aws: Aws) -> str:
    """An endpoint in service."""
    return aws.endpoint("served")


PING = "The primary container for production variant AllTraffic did not pass the ping health check"


def test_a_model_is_served_and_deleted(aws: Aws) -> None:
    name = aws.endpoint("one")
    described = aws.described(name)
    assert described["EndpointStatus"] == "InService"
    weight = dict.fromkeys(("CurrentWeight", "DesiredWeight"), 1.0)
    count = dict.fromkeys(("CurrentInstanceCount", "DesiredInstanceCount"), 1)
    assert described["ProductionVariants"] == [{"VariantName": "AllTraffic", **weight, **count}]
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


def test_each_new_status_is_an_event(aws: Aws) -> None:
    events, sqs, name = aws.client("events"), aws.client("sqs"), unique("told")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    kind = "SageMaker Endpoint State Change"
    pattern = {"source": ["aws.sagemaker"], "detail-type": [kind], "detail": {"EndpointName": [name]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    aws.serve(name, aws.model("one"))
    new = aws.endpoint_config("new")
    aws.update(name, new)
    aws.delete(name)
    told: list[dict[str, Any]] = []

    def all_told() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        told.extend(json.loads(message["Body"]) for message in messages)
        return len(told) == 5

    assert until(all_told)
    expected = [("CREATING", name), ("IN_SERVICE", name), ("UPDATING", name), ("IN_SERVICE", new), ("DELETING", new)]
    details = sorted((event["detail"] for event in told), key=lambda detail: detail["LastModifiedTime"])
    assert [(detail["EndpointStatus"], detail["EndpointConfigName"]) for detail in details] == expected
    assert details[1]["EndpointName"] == name
    assert {(event["source"], event["resources"][0]) for event in told} == {
        ("aws.sagemaker", details[0]["EndpointArn"])
    }


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/xml"])
def test_an_answers_content_type_is_the_containers_own(aws: Aws, served: str, kind: str) -> None:
    answer = aws.runtime.invoke_endpoint(EndpointName=served, Body=b"1", Accept=kind)
    assert answer["ContentType"] == kind


@pytest.mark.parametrize("container", ["image", "package"])
def test_a_model_may_list_its_one_container(aws: Aws, container: str) -> None:
    name, own = unique("listed"), aws.sagemaker.describe_model(ModelName=aws.model("one"))["PrimaryContainer"]
    if container == "package":
        own = {"ModelPackageName": package(aws, group(aws), own)}
    aws.sagemaker.create_model(ModelName=name, Containers=[own], ExecutionRoleArn=ROLE)
    found = aws.sagemaker.describe_model(ModelName=name)
    assert (found["Containers"], found.get("PrimaryContainer")) == ([own], None)
    assert aws.invoke(aws.serve(name), "1") == "one:1"


@pytest.mark.drill("race", "requests while the endpoint is updated", "none is lost")
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


@pytest.mark.drill("race", "an update while requests are answered", "they are answered by the old model")
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
    ping, (data, model, program) = aws.endpoint_config("broken", PING="never"), map(aws.endpoint_config, "abc")
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


@pytest.mark.drill("kill -9", "a model server at work", "it is restarted, and the endpoint answers")
def test_a_server_that_ends_is_restarted(aws: Aws) -> None:
    name, runtime = aws.endpoint("one"), aws.client("sagemaker-runtime")  # asks again while the server starts

    def answer(body: bytes) -> str:
        return str(runtime.invoke_endpoint(EndpointName=name, Body=body)["Body"].read().decode())

    first = int(answer(b"pid"))
    os.kill(first, signal.SIGKILL)
    assert psutil.pid_exists(until(lambda: int(answer(b"pid")), lambda pid: pid != first))
    started = time.monotonic()
    with pytest.raises(aws.runtime.exceptions.ServiceUnavailable) as caught:
        aws.runtime.invoke_endpoint(EndpointName=name, Body=b"die")
    assert time.monotonic() - started < 30, "half of what a call may take"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert answer(b"x") == "one:x"


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


KEY = re.compile(r"^\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl$")


def capturing(aws: Aws, percentage: int = 100, **members: Any) -> str:
    """An endpoint in service that captures."""
    config = template("capture") | {"InitialSamplingPercentage": percentage, **members}
    return aws.serve(unique("captured"), aws.model("m"), DataCaptureConfig=config)


def captured(aws: Aws, endpoint: str) -> list[dict[str, Any]]:
    """All records, after the endpoint's deletion."""
    aws.delete(endpoint)
    folder = f"capture/{endpoint}/AllTraffic/"
    keys = aws.keys(folder)
    assert all(KEY.match(key) for key in keys)
    return [json.loads(line) for key in keys for line in aws.read(folder + key).splitlines()]


def test_a_record_has_the_request_the_response_and_the_callers_id(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureContentTypeHeader={"CsvContentTypes": ["text/csv"]})
    aws.invoke(endpoint, "1\n2", Accept="text/csv", InferenceId="row-7")
    until(lambda: aws.keys(f"capture/{endpoint}/"))  # files appear while the endpoint serves
    target = {"DestinationS3Uri": f"s3://{aws.bucket}/capture", "KmsKeyId": ""}
    status = {"EnableCapture": True, "CaptureStatus": "Started", "CurrentSamplingPercentage": 100}
    assert aws.described(endpoint)["DataCaptureConfig"] == status | target
    (record,) = captured(aws, endpoint)
    event = record.pop("eventMetadata")
    csv = {"observedContentType": "text/csv", "encoding": "CSV"}
    asked, answered = {"mode": "INPUT", "data": "1\n2"}, {"mode": "OUTPUT", "data": "m:1\nm:2"}
    sides = {"endpointInput": csv | asked, "endpointOutput": csv | answered}
    assert record == {"captureData": sides, "eventVersion": "0"}
    assert event.keys() == {"eventId", "inferenceId", "inferenceTime"}
    assert event["inferenceId"] == "row-7"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["inferenceTime"])


def test_a_content_type_that_is_not_listed_is_in_base64(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureContentTypeHeader={"JsonContentTypes": ["application/json"]})
    aws.invoke(endpoint, "1", Accept="application/json")
    (record,) = captured(aws, endpoint)
    sides = record["captureData"]
    assert {side: (sides[side]["data"], sides[side]["encoding"]) for side in sides} == {
        "endpointInput": (base64.b64encode(b"1").decode(), "BASE64"),
        "endpointOutput": ("m:1", "JSON"),
    }
    assert "inferenceId" not in record["eventMetadata"]


def test_sampling_takes_exactly_its_percentage_evenly(aws: Aws) -> None:
    endpoint = capturing(aws, 20, CaptureContentTypeHeader={"CsvContentTypes": ["text/csv"]})
    for number in range(50):
        aws.invoke(endpoint, str(number))
    taken = [record["captureData"]["endpointInput"]["data"] for record in captured(aws, endpoint)]
    assert taken == [str(number) for number in range(4, 50, 5)]


def test_only_the_configured_side_of_successful_requests_is_captured(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureOptions=[{"CaptureMode": "Output"}])
    with pytest.raises(aws.runtime.exceptions.ModelError):
        aws.invoke(endpoint, "bad")
    aws.invoke(endpoint, "1")
    (record,) = captured(aws, endpoint)
    assert list(record["captureData"]) == ["endpointOutput"]


def test_a_missing_bucket_fails_no_request(aws: Aws) -> None:
    endpoint = capturing(aws, DestinationS3Uri="s3://no-such-bucket/capture")
    assert [aws.invoke(endpoint, "1") for _ in range(3)] == ["m:1"] * 3
    assert captured(aws, endpoint) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems let no second socket bind")
def test_a_port_is_held_for_a_model_until_its_server_listens() -> None:
    """Else two models that start at once could share a server, and the rows of one be answered by the other."""
    with free_port(held=True) as port, socket.socket() as other, socket.socket() as server:
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", port))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        socket.create_connection(("127.0.0.1", port), 1).close()
