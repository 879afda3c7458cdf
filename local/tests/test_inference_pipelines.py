"""Inference pipelines: models of several containers, which the stub is: each answers each line with `<label>:<line>`."""

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .aws import EVERYTHING, ROLE, STUB, Aws, packed, refused, template, unique, until, variant
from .test_endpoints import captured
from .test_registry import group, package


def streams(aws: Aws, where: str) -> dict[str, list[str]]:
    """The lines of each log stream of a group by the last part of its name; none before the group exists."""
    logs, place = aws.client("logs"), {"logGroupName": f"/aws/sagemaker/{where}"}
    try:
        names = [stream["logStreamName"] for stream in logs.describe_log_streams(**place)["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        return {}
    return {name.rpartition("/")[2]: aws.lines(where, name) for name in names}


def pids(aws: Aws, endpoint: str) -> dict[str, int]:
    """The process of each container by its name, from the last line of its log."""
    found = until(lambda: streams(aws, f"Endpoints/{endpoint}"), lambda found: len(found) >= 2 and all(found.values()))
    return {name: int(lines[-1].rpartition(" ")[2]) for name, lines in found.items()}


def pair(aws: Aws) -> str:
    """A pipeline of the containers `a` and `b`."""
    return aws.pipeline(aws.container("a"), aws.container("b"))


def endpoint(aws: Aws, *containers: dict[str, Any], **config: Any) -> str:
    return aws.serve(unique("endpoint"), aws.pipeline(*containers), **config)


def failed(aws: Aws, *containers: dict[str, Any], **members: Any) -> str:
    """Why an endpoint of this pipeline does not start."""
    name = aws.serve(unique("endpoint"), aws.pipeline(*containers, **members))
    found = aws.described(name)
    assert found["EndpointStatus"] == "Failed"
    aws.delete(name)
    return str(found["FailureReason"])


@pytest.fixture(scope="module")
def served(aws: Aws) -> str:
    """A pipeline of the containers `a` and `b` in service."""
    return aws.serve(unique("endpoint"), pair(aws))


def test_each_container_gets_the_answer_of_the_one_before_and_the_last_the_callers_accept(aws: Aws) -> None:
    containers = [aws.container(label, SHOW="1", TYPE=f"text/{label}") for label in "abc"]
    members = {"InferenceExecutionConfig": {"Mode": "Serial"}}
    model = aws.pipeline(*containers, **members)
    described = aws.sagemaker.describe_model(ModelName=model)
    assert (described["Containers"], described["InferenceExecutionConfig"]) == (containers, {"Mode": "Serial"})
    name = aws.serve(unique("endpoint"), model)
    answer = aws.runtime.invoke_endpoint(EndpointName=name, Body=b"1", ContentType="text/csv", Accept="text/x")
    assert answer["Body"].read() == b"c:b:a:1(text/csv, None)(text/a, None)(text/b, text/x)"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/c", "AllTraffic")
    found = until(lambda: streams(aws, f"Endpoints/{name}"), lambda found: len(found) == 3)
    assert {name: lines[0].partition(" as ")[0] for name, lines in found.items()} == {
        "container-1": "serving a",
        "container-2": "serving b",
        "container-3": "serving c",
    }
    server = pids(aws, name)
    aws.delete(name)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in server.values()))  # noqa: PTH110


def test_a_host_name_is_the_containers_name_in_its_log_and_in_errors(aws: Aws) -> None:
    first, second = ({**aws.container(label), "ContainerHostname": f"the-{label}"} for label in "ab")
    name = endpoint(aws, first, second)
    assert set(pids(aws, name)) == {"the-a", "the-b"}
    (stream, *_) = aws.client("logs").describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")[
        "logStreams"
    ]
    assert re.fullmatch(r"AllTraffic/i-[0-9a-f]{17}/the-a", stream["logStreamName"])
    with pytest.raises(aws.runtime.exceptions.ModelError, match=r"client error \(400\) from the-a with message"):
        aws.invoke(name, "bad")


@pytest.mark.parametrize("listed", [True, False])
def test_a_package_of_several_containers_is_a_pipeline(aws: Aws, listed: bool) -> None:
    registered = [aws.container(label, SHOW=label) for label in "ab"]
    model = {"Containers": registered, **template("inference")}
    arn = aws.sagemaker.create_model_package(ModelPackageGroupName=group(aws), InferenceSpecification=model)[
        "ModelPackageArn"
    ]
    found = aws.sagemaker.describe_model_package(ModelPackageName=arn)["InferenceSpecification"]["Containers"]
    assert found == registered
    container, name = {"ModelPackageName": arn}, unique("packaged")
    given = {"Containers": [container]} if listed else {"PrimaryContainer": container}
    aws.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, **given)
    aws.sagemaker.delete_model_package(ModelPackageName=arn)
    assert aws.invoke(aws.serve(name), "1").startswith("b:a:1(text/csv, None)")


def test_a_package_may_be_one_container_of_several(aws: Aws) -> None:
    registered = {"ModelPackageName": package(aws, group(aws))}
    assert aws.invoke(endpoint(aws, aws.container("a"), registered), "1") == "registered:a:1"


@pytest.mark.parametrize(
    ("body", "broken", "error", "message"),
    [
        ("bad", False, "client error (400) from container-1", "unable to evaluate payload provided"),
        ("break", False, "server error (500) from container-1", "Internal Server Error"),
        ("1", True, "server error (500) from container-2", "Internal Server Error"),
    ],
)
def test_an_error_ends_the_chain_and_names_its_container(
    aws: Aws, body: str, broken: bool, error: str, message: str
) -> None:
    name = endpoint(aws, aws.container("a"), aws.container("b", **({"BROKEN": "1"} if broken else {})))
    with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
        aws.invoke(name, body)
    response = caught.value.response
    assert (f"({response['OriginalStatusCode']})" in error, response["OriginalMessage"]) == (True, message)
    expected = f'Received {error} with message "{message}". See https://us-east-1.'
    assert response["Error"]["Message"].startswith(expected)


def test_an_answer_of_more_than_5_mb_does_not_reach_the_next_container(aws: Aws, served: str) -> None:
    line = "7" * (5 * 2**20 - len("a:"))
    assert len(aws.invoke(served, line)) == len(f"b:a:{line}")
    with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
        aws.invoke(served, f"{line}7")
    assert caught.value.response["Error"]["Message"].startswith(
        "Received response from container-1 with status code 200. However, the request payload from container-1 to "
        "container-2 is 5242881 bytes, which has exceeded the maximum limit of 5 MB. See https://us-east-1."
    )


@pytest.mark.parametrize(
    ("never", "names"), [("b", "container-2"), ("ab", "container-1, container-2")], ids=["the second", "both"]
)
def test_containers_that_never_pass_their_ping_are_named(aws: Aws, never: str, names: str) -> None:
    containers = [aws.container(label, **({"PING": "never"} if label in never else {})) for label in "ab"]
    ping = f"The {names} for production variant AllTraffic did not pass the ping health check."
    assert failed(aws, *containers) == f"{ping} Please check CloudWatch logs for this endpoint."


def test_a_bad_archive_names_its_container(aws: Aws) -> None:
    second = aws.container("b")
    aws.put(second["ModelDataUrl"].removeprefix(f"s3://{aws.bucket}/"), b"no archive")
    reason = f'Failed to download model data for container "container_2" from URL: "{second["ModelDataUrl"]}".'
    assert failed(aws, aws.container("a"), second).startswith(reason)
    program = {**second, "ModelDataUrl": aws.put(f"models/{unique('b')}.tar.gz", packed("other.json", "{}"))}
    reason = (
        "The container-2 for production variant AllTraffic did not pass the ping health check: it exited with code 1."
    )
    assert failed(aws, aws.container("a"), program).startswith(reason)


def test_a_role_needs_the_data_of_each_container(aws: Aws) -> None:
    containers = [aws.container(label) for label in "ab"]
    second = containers[1]["ModelDataUrl"].removeprefix("s3://")
    deny = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{second}"}
    role = aws.role(unique("role"), ["sagemaker"], EVERYTHING, deny)
    reason = f'Failed to download model data for container "container_2" from URL: "s3://{second}".'
    assert failed(aws, *containers, ExecutionRoleArn=role).startswith(reason)


def test_a_role_needs_the_image_of_each_container(aws: Aws) -> None:
    learner = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
    repository = "arn:aws:ecr:us-east-1:382416733822:repository/linear-learner"
    role = aws.role(
        unique("role"), ["sagemaker"], EVERYTHING, {"Effect": "Deny", "Action": "ecr:*", "Resource": repository}
    )
    reason = failed(aws, aws.container("a"), {**aws.container("b"), "Image": learner}, ExecutionRoleArn=role)
    assert f"is not authorized to perform: ecr:BatchCheckLayerAvailability on resource: {repository}" in reason


@pytest.mark.parametrize(("ended", "other"), [("container-1", "container-2"), ("container-2", "container-1")])
def test_a_container_that_ends_is_restarted_alone(aws: Aws, ended: str, other: str) -> None:
    name = aws.serve(unique("endpoint"), pair(aws))
    before = pids(aws, name)
    os.kill(before[ended], signal.SIGKILL)
    after = until(lambda: pids(aws, name), lambda found: found[ended] != before[ended])
    assert after[other] == before[other]
    assert until(lambda: aws.invoke(name, "x")) == "b:a:x"


def test_requests_at_the_same_time_and_endpoints_of_one_model_do_not_mix(aws: Aws) -> None:
    model = pair(aws)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda name: aws.serve(unique(name), model), ("one", "two")))
        asked = [(names[number % 2], str(number)) for number in range(60)]
        answers = list(pool.map(lambda each: aws.invoke(*each), asked))
    assert answers == [f"b:a:{number}" for number in range(60)]
    assert not set(pids(aws, names[0]).values()) & set(pids(aws, names[1]).values())


def test_an_update_replaces_a_single_container_by_a_pipeline(aws: Aws) -> None:
    name, target = aws.endpoint("old"), aws.config(unique("config"), pair(aws))
    assert aws.update(name, target)["EndpointConfigName"] == target
    assert aws.invoke(name, "x") == "b:a:x"


def test_a_record_has_the_callers_request_and_the_last_answer(aws: Aws) -> None:
    config = template("capture") | {"InitialSamplingPercentage": 100}
    config["CaptureContentTypeHeader"] = {"CsvContentTypes": ["text/csv"]}
    containers = [aws.container("a", TYPE="text/a"), aws.container("b")]
    name = endpoint(aws, *containers, DataCaptureConfig=config)
    aws.invoke(name, "1", Accept="text/csv")
    with pytest.raises(aws.runtime.exceptions.ModelError):
        aws.invoke(name, "bad")
    (record,) = captured(aws, name)
    sides = record["captureData"]
    assert {side: (sides[side]["data"], sides[side]["observedContentType"]) for side in sides} == {
        "endpointInput": ("1", "text/csv"),
        "endpointOutput": ("b:a:1", "text/csv"),
    }


def test_network_isolation_takes_the_credentials_from_each_container(aws: Aws) -> None:
    model = aws.pipeline(aws.container("a"), aws.container("b"), EnableNetworkIsolation=True)
    name = aws.serve(unique("endpoint"), model)
    for pid in pids(aws, name).values():
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:  # noqa: PTH123
            assert {entry.partition("=")[0] for entry in file.read().split("\0") if entry.startswith("AWS_")} == {
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
            }


def run(aws: Aws, data: str, *containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The description of a transform job of a pipeline over the objects below `data`, after its end."""
    request = aws.transform_request(data, aws.pipeline(*containers), **members)
    return aws.wait("transform", aws.start("transform", request))


def test_a_transform_sends_each_payload_through_all_containers(aws: Aws) -> None:
    data = unique("t")
    for name in "xyz":
        aws.put(f"{data}/{name}.csv", "1\n2\n")
    containers = [aws.container(label, SHOW="1", TYPE=f"text/{label}") for label in "ab"]
    containers[0]["Environment"]["PARAMETERS"] = json.dumps({"BatchStrategy": "SINGLE_RECORD"})
    job = run(aws, data, *containers, count=2)
    assert job["TransformJobStatus"] == "Completed"
    line = "b:a:{}(text/csv, None)(text/a, text/csv)\n"
    for name in "xyz":
        assert aws.read(f"scored/{data}/{name}.csv.out").decode() == line.format(1) + line.format(2)
    found = aws.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=job["TransformJobName"]
    )["logStreams"]
    names = [re.sub(r"-\d+/", "/", stream["logStreamName"].partition("/")[2]) for stream in found]
    assert sorted(names) == [f"algo-{number}/container-{container}" for number in (1, 2) for container in (1, 2)]


@pytest.mark.parametrize(
    ("environment", "body", "reason"),
    [
        (
            {"PING": "never"},
            "1",
            "The container-2 did not pass the ping health check. Please check CloudWatch logs for ",
        ),
        ({"BROKEN": "1"}, "1", "500: Internal Server Error. See job logs for more information"),
        ({}, "bad", "ClientError: 400: unable to evaluate payload provided. See job logs for more information"),
    ],
    ids=["a ping", "the second container", "the first container"],
)
def test_a_transform_fails_with_its_containers_error(
    aws: Aws, environment: dict[str, str], body: str, reason: str
) -> None:
    data = unique("t")
    aws.put(f"{data}/a.csv", body)
    job = run(aws, data, aws.container("a"), aws.container("b", **environment))
    assert (job["TransformJobStatus"], job["FailureReason"].startswith(reason)) == ("Failed", True), job[
        "FailureReason"
    ]


def test_a_transform_names_the_container_that_does_not_answer_in_time(aws: Aws) -> None:
    data, client = unique("t"), {"InvocationsTimeoutInSeconds": 5, "InvocationsMaxRetries": 0}
    aws.put(f"{data}/a.csv", "1\n")
    job = run(aws, data, aws.container("a"), aws.container("b", DELAY="60"), ModelClientConfig=client)
    assert "did not answer: TimeoutError('container-2')" in job["FailureReason"]


HOSTNAMES = "Give all containers of an inference pipeline a ContainerHostname, or none."
LIMIT = (
    "A local model has 1 to 15 containers: each an Image and, if it wants data, a ModelDataUrl, or a ModelPackageName."
)
PLAIN = {"Image": STUB}
SOURCE = {"S3Uri": "s3://b/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"PrimaryContainer": PLAIN, "Containers": [PLAIN]}, "Give either PrimaryContainer or Containers, not both."),
        ({}, LIMIT),
        ({"Containers": []}, LIMIT),
        ({"Containers": [PLAIN, {"ModelDataUrl": "s3://b/k"}]}, LIMIT),
        (
            {"Containers": [PLAIN, PLAIN], "InferenceExecutionConfig": {"Mode": "Direct"}},
            "InferenceExecutionConfig: Mode Direct does not run locally; use Serial.",
        ),
        ({"Containers": [PLAIN, {**PLAIN, "ContainerHostname": "b"}]}, HOSTNAMES),
        ({"Containers": [{**PLAIN, "ContainerHostname": "b"}] * 2}, HOSTNAMES),
        (
            {"PrimaryContainer": {**PLAIN, "Mode": "MultiModel", "ModelDataUrl": "s3://b/models/"}},
            "Mode MultiModel does not run locally; use SingleModel.",
        ),
        (
            {"Containers": [PLAIN, {**PLAIN, "ModelDataSource": {"S3DataSource": SOURCE}}]},
            "ModelDataSource: a local container's data is one archive, a ModelDataUrl.",
        ),
        (
            {"Containers": [PLAIN, {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1"}]},
            "No local program replaces the image '123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1' in model hosting.",
        ),
    ],
)
def test_a_model_that_does_not_run_here_is_refused(aws: Aws, members: dict[str, Any], message: str) -> None:
    code, found = refused(aws.sagemaker.create_model, ModelName=unique("model"), ExecutionRoleArn=ROLE, **members)
    assert (code, found[: len(message)]) == ("ValidationException", message)


def test_more_than_15_containers_are_refused(aws: Aws) -> None:
    message = "Member must have length less than or equal to 15"
    assert (
        message
        in refused(
            aws.sagemaker.create_model, ModelName=unique("model"), ExecutionRoleArn=ROLE, Containers=[PLAIN] * 16
        )[1]
    )
    containers = [aws.container(str(number)) for number in range(15)]
    body = aws.invoke(endpoint(aws, *containers), "x")
    assert body == ":".join(str(number) for number in reversed(range(15))) + ":x"


def test_a_request_to_one_container_is_refused(aws: Aws, served: str) -> None:
    message = "TargetContainerHostname is for models of Mode Direct, which do not run locally."
    target = {"TargetContainerHostname": "container-1"}
    assert refused(aws.invoke, served, "1", **target) == ("ValidationError", message)


def test_variants_may_be_pipelines_and_single_containers(aws: Aws) -> None:
    name = unique("endpoint")
    variants = [variant(pair(aws), name="two"), variant(aws.model("one"), name="one")]
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)
    assert [aws.invoke(name, "x", TargetVariant=target) for target in ("two", "one")] == ["b:a:x", "one:x"]
