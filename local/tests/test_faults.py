"""Injected faults: each has the same effect as on AWS, as often as requested."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from local_aws.signed import request

from .aws import ROLE, Aws, refused, unique, until

KILLED = "AlgorithmError: See job logs for more information, exit code: 137 (killed by SIGKILL)"
CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."


def faults(aws: Aws, body: Any = None) -> dict[str, Any]:
    """The remaining faults and those that occurred; a body replaces the list."""
    data = b"" if body is None else json.dumps(body).encode()
    asked = request(aws.cloud, body=data, headers={"X-Amz-Target": "SageMaker.LocalFaults"})
    with urllib.request.urlopen(asked) as answer:
        return dict(json.load(answer))


def inject(aws: Aws, on: str, fault: str, **more: Any) -> None:
    faults(aws, [{"on": on, "fault": fault, **more}])


@pytest.fixture(autouse=True)
def no_faults_left(aws: Aws) -> Iterator[None]:
    yield
    assert faults(aws)["faults"] == []


@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceLimitExceeded"])
def test_a_call_is_refused_as_often_as_requested(aws: Aws, code: str) -> None:
    client = aws.client("sagemaker", retries={"total_max_attempts": 1})
    hit, spared = (aws.training_request(TrainingJobName=unique(name)) for name in ("hit", "spared"))
    inject(aws, "CreateTrainingJob", code, name="hit-*", times=2)
    client.create_training_job(**spared)
    for _ in range(2):
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.create_training_job(**hit)
        assert caught.value.response["Error"]["Code"] == code
    assert [entry["name"] for entry in faults(aws)["struck"]] == [hit["TrainingJobName"]] * 2
    client.create_training_job(**hit)
    for job in (hit, spared):
        assert aws.wait("training", job["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_what_struck_has_the_name_that_was_hit(aws: Aws) -> None:
    first, second = (aws.endpoint_config(label) for label in ("first", "second"))
    endpoint = aws.serve(unique("endpoint"), aws.model("old"))
    inject(aws, "UpdateEndpoint", "ThrottlingException", name=first)
    client = aws.client("sagemaker", retries={"total_max_attempts": 1})
    aws.update(endpoint, second)
    assert refused(client.update_endpoint, EndpointName=endpoint, EndpointConfigName=first)[0] == "ThrottlingException"
    assert faults(aws)["struck"] == [{"on": "UpdateEndpoint", "fault": "ThrottlingException", "name": first}]


def test_an_invocation_is_refused(aws: Aws) -> None:
    endpoint = aws.endpoint("m")
    inject(aws, "InvokeEndpoint", "ServiceUnavailable", name=endpoint)
    with pytest.raises(aws.runtime.exceptions.ServiceUnavailable):
        aws.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    assert aws.invoke(endpoint, "1") == "m:1"


@pytest.mark.parametrize(
    ("kind", "fault", "reason"),
    [
        ("Training", "CapacityError", f"{CAPACITY} Please retry using a different ML instance type."),
        ("Training", "Exit", "AlgorithmError: See job logs for more information, exit code: 1"),
        ("Training", "Kill", KILLED),
        ("Processing", "Kill", KILLED),
    ],
)
def test_a_job_fails_once(aws: Aws, kind: str, fault: str, reason: str) -> None:
    inject(aws, f"{kind}Job", fault)
    job, again = [aws.trained() if kind == "Training" else aws.processed("pass") for _ in range(2)]
    assert (job[f"{kind}JobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert again[f"{kind}JobStatus"] == "Completed"


def test_a_job_hangs_until_its_maximum_runtime(aws: Aws) -> None:
    inject(aws, "TrainingJob", "Hang")
    job = aws.trained(StoppingCondition={"MaxRuntimeInSeconds": 10})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    message = "Training job runtime exceeded MaxRuntimeInSeconds"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == message


SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}}


def statuses(job: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def test_a_spot_job_that_is_interrupted_trains_from_the_start(aws: Aws) -> None:
    inject(aws, "SpotTraining", "Interrupted")
    job = aws.trained(label="x", **SPOT)
    begun = ["Starting", "Downloading", "Training"]
    assert statuses(job) == [*begun, "Interrupted", *begun, "Uploading", "Completed"]
    assert job["BillableTimeInSeconds"] <= max(1, job["TrainingTimeInSeconds"])


def test_a_spot_job_without_capacity_ends_when_its_time_to_wait_is_over(aws: Aws) -> None:
    inject(aws, "SpotTraining", "CapacityError")
    job = aws.trained(label="x", **SPOT)
    assert (job["TrainingJobStatus"], statuses(job)) == ("Stopped", ["Starting", "MaxWaitTimeExceeded"])
    message = "Training job wait time exceeded MaxWaitTimeInSeconds"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == message
    assert "BillableTimeInSeconds" not in job


def test_a_spot_job_that_waits_can_be_stopped(aws: Aws) -> None:
    inject(aws, "SpotTraining", "CapacityError")
    wait = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 360_000}
    name = aws.train(label="x", **{**SPOT, "StoppingCondition": wait})
    until(lambda: faults(aws)["struck"])
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert statuses(aws.wait("training", name)) == ["Starting", "Stopped"]


def test_a_job_on_demand_is_not_interrupted(aws: Aws) -> None:
    inject(aws, "SpotTraining", "Interrupted")
    assert statuses(aws.trained(label="x"))[-1] == "Completed"
    assert faults(aws, [])["struck"] == []


def test_an_endpoint_of_a_training_job_without_a_model_fails(aws: Aws) -> None:
    inject(aws, "TrainingJob", "NoOutput")
    job = aws.trained()
    assert job["TrainingJobStatus"] == "Completed"
    empty = aws.sagemaker.describe_model(ModelName=aws.model("empty"))["PrimaryContainer"]
    empty["ModelDataUrl"], name = job["ModelArtifacts"]["S3ModelArtifacts"], unique("empty")
    aws.sagemaker.create_model(ModelName=name, PrimaryContainer=empty, ExecutionRoleArn=ROLE)
    assert aws.described(aws.serve(name))["EndpointStatus"] == "Failed"


def test_a_transform_jobs_model_does_not_start(aws: Aws) -> None:
    aws.put("faulty/a.csv", "1\n")
    inject(aws, "TransformJob", "Exit")
    job = aws.wait("transform", aws.start("transform", aws.transform_request("faulty", aws.model("m"))))
    assert job["TransformJobStatus"] == "Failed"
    assert "did not pass the ping health check: it exited with code 1" in job["FailureReason"]


@pytest.mark.parametrize(
    ("fault", "reason"), [("NeverReady", "did not pass the ping health check"), ("CapacityError", CAPACITY)]
)
def test_a_new_fleet_does_not_start_and_the_old_one_serves(aws: Aws, fault: str, reason: str) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    old = aws.described(endpoint)["EndpointConfigName"]
    inject(aws, "Endpoint", fault, name=new)
    found = aws.update(endpoint, new)
    assert found["EndpointConfigName"] == old
    assert reason in found["FailureReason"]
    assert aws.invoke(endpoint, "1") == "old:1"


def test_a_new_fleet_answers_wrongly(aws: Aws) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    inject(aws, "Endpoint", "WrongAnswers", name=new)
    aws.update(endpoint, new)
    assert [aws.invoke(endpoint, text) for text in ("1", "0.25", "-2")] == ["new:0", "new:0.75", "new:3"]


@pytest.mark.parametrize(("fault", "statuses"), [("Answers500", [424]), ("DiesAtRequest", [424, 503])])
def test_a_new_fleet_fails_after_the_switch(aws: Aws, fault: str, statuses: list[int]) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    inject(aws, "Endpoint", fault, name=new)
    assert aws.update(endpoint, new)["EndpointConfigName"] == new
    with pytest.raises(aws.runtime.exceptions.ClientError) as caught:
        aws.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in statuses
    assert caught.value.response.get("OriginalStatusCode", 500) == 500


def test_a_new_fleet_answers_right_and_slowly(aws: Aws) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    inject(aws, "Endpoint", "AnswersSlowly", name=new)
    assert aws.update(endpoint, new)["EndpointConfigName"] == new
    began = time.monotonic()
    assert aws.invoke(endpoint, "1") == "new:1"
    assert time.monotonic() - began >= 5


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ([{"on": "TrainingJob", "fault": "Boredom"}], "'Boredom' is no fault of TrainingJob; known are CapacityError,"),
        ([{"when": "now"}], "LocalFaults takes a list of {on, fault, name, times}"),
    ],
)
def test_an_unknown_fault_is_refused(aws: Aws, body: Any, refusal: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        faults(aws, body)
    with caught.value as answer:
        assert answer.code == 400
        assert refusal in json.load(answer)["message"]
