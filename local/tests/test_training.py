"""Training jobs, with the stub container."""

import io
import os
import re
import signal
import tarfile
from datetime import UTC, datetime
from typing import Any

import pytest
from local_aws.sagemaker.jobs.metrics import LINEAR_LEARNER, MetricReader

from .aws import Aws, refused, unique, until

pytestmark = pytest.mark.cloud


def channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}


def pid_in_log(aws: Aws, job: str) -> int:
    def look() -> int | None:
        found = [re.search(r"hanging as (\d+)", line) for line in aws.lines("TrainingJobs", f"{job}/")]
        return next((int(match[1]) for match in found if match), None)

    return until(look)


def test_a_job_of_several_instances_says_that_it_is_one_process(aws: Aws) -> None:
    request = aws.training_request(label="one")
    request["ResourceConfig"]["InstanceCount"] = 3
    aws.sagemaker.create_training_job(**request)
    assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == "Completed"
    first = aws.lines("TrainingJobs", f"{request['TrainingJobName']}/algo-1-")[0]
    assert first == "local AWS: one process trains on all the data in place of 3 instances"


def test_a_job_reads_its_channels_and_leaves_a_model(aws: Aws) -> None:
    uri = aws.put("channel/train/a.csv", "1,2\n").removesuffix("/a.csv")
    aws.put("channel/train/more/b.csv", "0,1\n")
    request = aws.training_request(label="seven") | {"InputDataConfig": [channel("train", uri)]}
    name = request["TrainingJobName"]
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://things/trained/{name}/output/model.tar.gz"}
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]
    with tarfile.open(fileobj=io.BytesIO(aws.read(f"trained/{name}/output/model.tar.gz"))) as archive:
        assert archive.getnames() == ["model.json"]
    assert aws.lines("TrainingJobs", f"{name}/algo-1-")[:5] == [
        "input input/config/hyperparameters.json",
        "input input/config/inputdataconfig.json",
        "input input/config/resourceconfig.json",
        "input input/data/train/a.csv",
        "input input/data/train/more/b.csv",
    ]
    assert not (aws.cloud.home / "jobs/training-job" / name).exists()


def test_the_failure_file_is_the_reason_cut_at_1024_characters(aws: Aws) -> None:
    job = aws.wait("training", aws.train(action="fail"))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: the data is no good" + "." * 992
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]
    assert "ModelArtifacts" not in job or not job["ModelArtifacts"]


def test_without_a_failure_file_the_exit_code_is_the_reason(aws: Aws) -> None:
    job = aws.wait("training", aws.train(action="exit", code="3"))
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information, exit code: 3"


def test_kill_9_of_the_process_fails_the_job_and_says_so(aws: Aws) -> None:
    name = aws.train(action="hang")
    os.kill(pid_in_log(aws, name), signal.SIGKILL)
    job = aws.wait("training", name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: See job logs for more information, exit code: 137 (killed by SIGKILL)"
    )


def test_data_that_is_not_there_fails_the_job(aws: Aws) -> None:
    request = aws.training_request() | {"InputDataConfig": [channel("train", f"s3://{aws.bucket}/nowhere/")]}
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", request["TrainingJobName"])
    assert job["FailureReason"].startswith(
        'ClientError: Data download failed: No S3 objects found under S3 URL "s3://things/nowhere/"'
    )


@pytest.mark.parametrize("deaf", [False, True], ids=["ends at SIGTERM", "ignores SIGTERM"])
def test_a_stopped_job_ends_stopped(aws: Aws, deaf: bool) -> None:
    name = aws.train(action="hang", **({"deaf": "true"} if deaf else {}))
    pid_in_log(aws, name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    job = aws.wait("training", name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "FailureReason" not in job
    with pytest.raises(aws.sagemaker.exceptions.ClientError, match="the training job is in status Stopped"):
        aws.sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_above_its_maximum_runtime_ends_stopped(aws: Aws) -> None:
    request = aws.training_request(action="hang") | {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", request["TrainingJobName"])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == (
        "Training job runtime exceeded MaxRuntimeInSeconds"
    )


def test_metrics_are_read_from_the_log(aws: Aws) -> None:
    request = aws.training_request()
    pattern = r"validation binary_classification_accuracy <score>=(\S+)"
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "validation:accuracy", "Regex": pattern}]
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", request["TrainingJobName"])
    assert [(entry["MetricName"], entry["Value"]) for entry in job["FinalMetricDataList"]] == [
        ("validation:accuracy", pytest.approx(0.975))
    ]


def test_a_match_that_is_no_number_is_no_metric() -> None:
    reader = MetricReader(LINEAR_LEARNER)
    reader.read("#quality_metric: host=algo-1, test mse <loss>=nonsense")
    assert reader.final() == []


def test_a_name_is_used_once(aws: Aws) -> None:
    request = aws.training_request()
    name = request["TrainingJobName"]
    aws.sagemaker.create_training_job(**request)
    aws.wait("training", name)
    assert refused(aws.sagemaker.create_training_job, **request) == (
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        f"exists (arn:aws:sagemaker:us-east-1:123456789012:training-job/{name})",
    )


def test_an_unknown_image_is_refused_with_the_known_ones(aws: Aws) -> None:
    request = aws.training_request()
    request["AlgorithmSpecification"]["TrainingImage"] = "123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1.7-1"
    assert refused(aws.sagemaker.create_training_job, **request) == (
        "ValidationException",
        "No local program stands in for the image "
        "'123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1.7-1' in training. Known for it are the repositories: "
        "linear-learner, stub. Add yours to the file that SAGEMAKER_IMAGES names.",
    )


def test_jobs_are_listed_in_pages(aws: Aws) -> None:
    prefix = unique("page")
    for number in range(5):
        aws.sagemaker.create_training_job(**aws.training_request() | {"TrainingJobName": f"{prefix}-{number}"})
    for number in range(5):
        aws.wait("training", f"{prefix}-{number}")
    pages = aws.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=prefix.upper(), StatusEquals="Completed", SortBy="Name", SortOrder="Descending", MaxResults=2
    )
    names = [[job["TrainingJobName"].removeprefix(prefix) for job in page["TrainingJobSummaries"]] for page in pages]
    assert names == [["-4", "-3"], ["-2", "-1"], ["-0"]]
    long_ago = datetime(1970, 1, 2, tzinfo=UTC)
    after = aws.sagemaker.list_training_jobs(NameContains=prefix, CreationTimeAfter=long_ago)["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in after] == [f"{prefix}-{number}" for number in range(5)]
    before = aws.sagemaker.list_training_jobs(NameContains=prefix, LastModifiedTimeBefore=long_ago)
    assert before["TrainingJobSummaries"] == []
    with pytest.raises(aws.sagemaker.exceptions.ClientError, match="Invalid NextToken: x"):
        aws.sagemaker.list_training_jobs(NextToken="x")


def test_tags_are_kept_changed_and_removed(aws: Aws) -> None:
    request = aws.training_request() | {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}
    arn = aws.sagemaker.create_training_job(**request)["TrainingJobArn"]
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}])
    aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "z"])
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}]
    with pytest.raises(aws.sagemaker.exceptions.ClientError, match=f"Could not find resource with ARN {arn}x"):
        aws.sagemaker.list_tags(ResourceArn=f"{arn}x")


def test_an_unknown_operation_is_refused_with_the_known_ones(aws: Aws) -> None:
    code, message = refused(aws.sagemaker.list_clusters)
    assert code == "UnknownOperationException"
    assert message.startswith("The local SageMaker does not know 'ListClusters'. It knows: AddTags, CreateEndpoint, ")


def test_there_is_a_limit_of_running_jobs(aws: Aws) -> None:
    names = []
    with pytest.raises(
        aws.sagemaker.exceptions.ResourceLimitExceeded, match="is 20 jobs, with current utilization of 20"
    ):
        for _ in range(21):
            names.append(aws.train(action="hang"))
    for name in names:
        aws.sagemaker.stop_training_job(TrainingJobName=name)
    for name in names:
        assert aws.wait("training", name)["TrainingJobStatus"] == "Stopped"
