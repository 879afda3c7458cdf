"""Training jobs, with the stub container."""

import io
import os
import re
import signal
import tarfile
from datetime import UTC, datetime

import pytest

from .aws import Aws, channel, refused, unique, until


def pid_in_log(aws: Aws, job: str) -> int:
    """The process of a job that hangs."""
    match = until(lambda: re.search(r"hanging as (\d+)", "\n".join(aws.lines("TrainingJobs", f"{job}/"))))
    assert match
    return int(match[1])


def test_a_job_reads_its_channels_and_leaves_a_model_and_metrics(aws: Aws) -> None:
    uri = aws.put("channel/train/a.csv", "1,2\n").removesuffix("/a.csv")
    aws.put("channel/train/more/b.csv", "0,1\n")
    request = aws.training_request(label="seven", InputDataConfig=[channel("train", uri)])
    pattern = r"validation binary_classification_accuracy <score>=(\S+)"
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "validation:accuracy", "Regex": pattern}]
    request["ResourceConfig"]["InstanceCount"] = 3
    name = aws.start("training", request)
    job = aws.wait("training", name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://things/trained/{name}/output/model.tar.gz"}
    statuses = [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["OutputDataConfig"] == {"S3OutputPath": "s3://things/trained", "KmsKeyId": ""}
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]
    with tarfile.open(fileobj=io.BytesIO(aws.read(f"trained/{name}/output/model.tar.gz"))) as archive:
        assert archive.getnames() == ["model.json"]
    assert aws.lines("TrainingJobs", f"{name}/algo-1-")[:6] == [
        "local AWS: one process trains on all the data in place of 3 instances",
        *(f"input input/config/{file}.json" for file in ("hyperparameters", "inputdataconfig", "resourceconfig")),
        *(f"input input/data/train/{file}.csv" for file in ("a", "more/b")),
    ]
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("validation:accuracy", pytest.approx(0.975))
    assert not (aws.cloud.home / "jobs/training-job" / name).exists()


def test_the_failure_file_is_the_reason_cut_at_1024_characters(aws: Aws) -> None:
    job = aws.trained(action="fail")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: the data is no good" + "." * 992
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]
    assert "ModelArtifacts" not in job or not job["ModelArtifacts"]


def test_without_a_failure_file_the_exit_code_is_the_reason(aws: Aws) -> None:
    reason = "AlgorithmError: See job logs for more information, exit code: "
    assert aws.trained(action="exit", code="3")["FailureReason"] == f"{reason}3"
    name = aws.train(action="hang")
    os.kill(pid_in_log(aws, name), signal.SIGKILL)
    job = aws.wait("training", name)
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", f"{reason}137 (killed by SIGKILL)")


def test_missing_data_fails_the_job(aws: Aws) -> None:
    job = aws.trained(InputDataConfig=[channel("train", f"s3://{aws.bucket}/nowhere/")])
    reason = 'ClientError: Data download failed: No S3 objects found under S3 URL "s3://things/nowhere/"'
    assert job["FailureReason"].startswith(reason)


@pytest.mark.parametrize("more", [{}, {"deaf": "true"}], ids=["ends at SIGTERM", "ignores SIGTERM"])
def test_a_stopped_job_ends_stopped(aws: Aws, more: dict[str, str]) -> None:
    name = aws.train(action="hang", **more)
    pid_in_log(aws, name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    job = aws.wait("training", name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "FailureReason" not in job
    _, message = refused(aws.sagemaker.stop_training_job, TrainingJobName=name)
    assert "the training job is in status Stopped" in message


def test_jobs_are_listed_in_pages(aws: Aws) -> None:
    prefix = unique("page")
    for number in range(5):
        aws.train(TrainingJobName=f"{prefix}-{number}")
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


def test_search_finds_the_job_of_a_model(aws: Aws) -> None:
    def search(name: str, value: str, operator: str = "Equals") -> list[str]:
        by = {"Filters": [{"Name": name, "Operator": operator, "Value": value}]}
        found = aws.sagemaker.search(Resource="TrainingJob", SearchExpression=by)["Results"]
        return [entry["TrainingJob"]["TrainingJobName"] for entry in found]

    first, second = aws.trained(label="x", epochs="3"), aws.trained(label="x")
    artifacts = "ModelArtifacts.S3ModelArtifacts"
    assert search(artifacts, first["ModelArtifacts"]["S3ModelArtifacts"]) == [first["TrainingJobName"]]
    assert search("HyperParameters.epochs", "3") == [first["TrainingJobName"]]
    assert search("TrainingJobName", second["TrainingJobName"][6:], "Contains") == [second["TrainingJobName"]]
    assert search(artifacts, "s3://none") == []
    everything = aws.sagemaker.search(Resource="TrainingJob", MaxResults=1)
    assert everything["Results"][0]["TrainingJob"]["TrainingJobName"] == second["TrainingJobName"]  # the newest first
    assert everything["NextToken"]
    _, message = refused(aws.sagemaker.search, Resource="Experiment")
    words = "Search: of the resources only TrainingJob, of the operators only Equals and Contains run locally."
    assert message == words


def test_a_log_is_read_by_its_streams_prefix(aws: Aws) -> None:
    logs, names = aws.client("logs"), [aws.trained(label="x")["TrainingJobName"] for _ in range(2)]
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    events = logs.filter_log_events(**group, logStreamNamePrefix=f"{names[0]}/")["events"]
    assert [event["message"] for event in events] == aws.lines("TrainingJobs", f"{names[0]}/")
    assert {event["logStreamName"].partition("/")[0] for event in events} == {names[0]}
    assert logs.filter_log_events(**group, logStreamNamePrefix="nothing")["events"] == []


def test_tags_are_stored_changed_and_deleted(aws: Aws) -> None:
    def tags(**values: str) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in values.items()]

    arn = aws.sagemaker.create_training_job(**aws.training_request(Tags=tags(a="1", b="2")))["TrainingJobArn"]
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=tags(b="3", c="4"))
    aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "z"])
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags(b="3", c="4")


def test_the_number_of_running_jobs_is_limited(aws: Aws) -> None:
    names: list[str] = []
    limit = "is 20 jobs, with current utilization of 20"
    with pytest.raises(aws.sagemaker.exceptions.ResourceLimitExceeded, match=limit):
        names.extend(aws.train(action="hang") for _ in range(21))
    for name in names:
        aws.sagemaker.stop_training_job(TrainingJobName=name)
    for name in names:
        assert aws.wait("training", name)["TrainingJobStatus"] == "Stopped"
