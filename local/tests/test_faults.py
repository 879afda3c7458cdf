"""Faults on order: each one looks to its caller as it does on AWS, as often as was asked for."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from .aws import ROLE, SCIKIT, Aws, unique, until

pytestmark = pytest.mark.cloud


def ask(aws: Aws, body: Any = None) -> dict[str, Any]:
    """Ask for faults, or, without a body, look what is left and what has struck."""
    request = urllib.request.Request(
        aws.cloud.endpoint_url,
        method="POST",
        headers={"X-Amz-Target": "SageMaker.LocalFaults", "Content-Type": "application/json"},
        data=b"" if body is None else json.dumps(body).encode(),
    )
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer))


def order(aws: Aws, on: str, fault: str, **more: Any) -> None:
    ask(aws, [{"on": on, "fault": fault, **more}])


@pytest.fixture(autouse=True)
def no_faults_left(aws: Aws) -> Iterator[None]:
    yield
    assert ask(aws)["faults"] == []


@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceLimitExceeded"])
def test_a_call_is_refused_as_often_as_asked(aws: Aws, code: str) -> None:
    client = aws.client("sagemaker", retries={"total_max_attempts": 1})
    request = aws.training_request()
    order(aws, "CreateTrainingJob", code, times=2)
    for _ in range(2):
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.create_training_job(**request)
        assert caught.value.response["Error"]["Code"] == code
    name = request["TrainingJobName"]
    assert [entry["name"] for entry in ask(aws)["struck"]] == [name, name]
    client.create_training_job(**request)
    assert aws.wait("training", name)["TrainingJobStatus"] == "Completed"


def test_other_calls_and_other_names_are_spared(aws: Aws) -> None:
    spared = unique("spared")
    order(aws, "CreateTrainingJob", "ResourceLimitExceeded", name="hit-*")
    aws.sagemaker.create_training_job(**aws.training_request() | {"TrainingJobName": spared})
    with pytest.raises(aws.sagemaker.exceptions.ResourceLimitExceeded):
        aws.sagemaker.create_training_job(**aws.training_request() | {"TrainingJobName": unique("hit")})
    assert aws.wait("training", spared)["TrainingJobStatus"] == "Completed"


def test_an_invocation_is_refused(aws: Aws) -> None:
    endpoint = aws.endpoint("m")
    order(aws, "InvokeEndpoint", "ServiceUnavailable", name=endpoint)
    runtime = aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    assert aws.invoke(endpoint, "1") == "m:1"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            "CapacityError",
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
            "instance type.",
        ),
        ("Exit", "AlgorithmError: See job logs for more information, exit code: 1"),
        ("Kill", "AlgorithmError: See job logs for more information, exit code: 137 (killed by SIGKILL)"),
    ],
)
def test_a_training_job_fails_once(aws: Aws, fault: str, reason: str) -> None:
    order(aws, "TrainingJob", fault)
    job = aws.wait("training", aws.train())
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert aws.wait("training", aws.train())["TrainingJobStatus"] == "Completed"


def test_a_job_hangs_until_its_maximum_runtime(aws: Aws) -> None:
    order(aws, "TrainingJob", "Hang")
    request = aws.training_request() | {"StoppingCondition": {"MaxRuntimeInSeconds": 10}}
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", request["TrainingJobName"])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_training_job_writes_no_model_and_nothing_can_be_served_of_it(aws: Aws) -> None:
    order(aws, "TrainingJob", "NoOutput")
    job = aws.wait("training", aws.train())
    assert job["TrainingJobStatus"] == "Completed"
    url = job["ModelArtifacts"]["S3ModelArtifacts"]
    name = aws.model("empty")
    container = aws.sagemaker.describe_model(ModelName=name)["PrimaryContainer"] | {"ModelDataUrl": url}
    aws.sagemaker.create_model(ModelName=f"{name}-2", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    aws.serve(name, f"{name}-2", wait=False)

    def ended() -> dict[str, Any] | None:
        found = aws.sagemaker.describe_endpoint(EndpointName=name)
        return dict(found) if found["EndpointStatus"] != "Creating" else None

    assert until(ended)["EndpointStatus"] == "Failed"


def test_a_processing_job_is_killed(aws: Aws) -> None:
    order(aws, "ProcessingJob", "Kill")
    name = unique("process")
    aws.sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": SCIKIT, "ContainerEntrypoint": ["python3", "-c", "pass"]},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        RoleArn=ROLE,
    )
    job = aws.wait("processing", name)
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == (
        "Failed",
        "AlgorithmError: See job logs for more information, exit code: 137 (killed by SIGKILL)",
    )


def test_a_transform_jobs_model_answers_nothing(aws: Aws) -> None:
    aws.put("faulty/a.csv", "1\n")
    order(aws, "TransformJob", "Exit")
    name = unique("transform")
    source = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/faulty"}}}
    aws.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=aws.model("m"),
        TransformInput=source,
        TransformOutput={"S3OutputPath": f"s3://{aws.bucket}/scored/faulty"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    job = aws.wait("transform", name)
    assert job["TransformJobStatus"] == "Failed"
    assert "did not pass the ping health check: it exited with code 1" in job["FailureReason"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("NeverReady", "did not pass the ping health check"),
        ("CapacityError", "CapacityError: Unable to provision requested ML compute capacity."),
    ],
)
def test_a_new_fleet_does_not_come_up_and_the_old_one_serves(aws: Aws, fault: str, reason: str) -> None:
    endpoint = aws.endpoint("old")
    old = aws.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    new = aws.endpoint_config("new")
    order(aws, "Endpoint", fault, name=new)
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)
    found = aws.settled(endpoint)
    assert found["EndpointConfigName"] == old
    assert reason in found["FailureReason"]
    assert aws.invoke(endpoint, "1") == "old:1"


@pytest.mark.parametrize(("fault", "statuses"), [("Answers500", [424]), ("DiesAtRequest", [424, 503])])
def test_a_new_fleet_fails_after_the_switch(aws: Aws, fault: str, statuses: list[int]) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    order(aws, "Endpoint", fault, name=new)
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)
    assert aws.settled(endpoint)["EndpointConfigName"] == new
    runtime = aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    with pytest.raises(runtime.exceptions.ClientError) as caught:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in statuses
    assert caught.value.response.get("OriginalStatusCode", 500) == 500


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ([{"on": "TrainingJob", "fault": "Boredom"}], "'Boredom' is no fault of TrainingJob; known are CapacityError,"),
        ([{"when": "now"}], "LocalFaults takes a list of {on, fault, name, times}"),
    ],
)
def test_a_fault_that_nobody_knows_is_refused(aws: Aws, body: Any, refusal: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(aws, body)
    with caught.value as answer:
        assert answer.code == 400
        assert refusal in json.load(answer)["message"]
