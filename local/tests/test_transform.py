"""Batch transform; the stub container answers each line with `<label>:<line>`, and 400 to a body with `bad`."""

import gzip
import json
from functools import partial
from typing import Any

import pytest

from .aws import Aws, refused, unique

pytestmark = pytest.mark.cloud


def transform(aws: Aws, data: str, label: str = "m", count: int = 1, **members: Any) -> dict[str, Any]:
    """Run a job over the objects below `data`; its description at the end."""
    name = unique("transform")
    environment = members.pop("model_environment", {})
    split = members.pop("split", {"SplitType": "Line"})
    assemble = members.pop("assemble", {"AssembleWith": "Line"})
    source = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/{data}"}}}
    aws.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=aws.model(label, **environment),
        TransformInput={**source, "ContentType": "text/csv", **split},
        TransformOutput={"S3OutputPath": f"s3://{aws.bucket}/scored/{data}", "Accept": "text/csv", **assemble},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": count},
        **members,
    )
    return aws.wait("transform", name)


def test_each_object_has_its_answers_beside_its_name_in_order(aws: Aws) -> None:
    aws.put("t1/a.csv", "\n".join(str(number) for number in range(1000)))
    aws.put("t1/more/b.csv", "x\r\ny\r\n")
    job = transform(aws, "t1", MaxConcurrentTransforms=4, BatchStrategy="SingleRecord")
    assert job["TransformJobStatus"] == "Completed"
    assert aws.keys("scored/t1/") == ["a.csv.out", "more/b.csv.out"]
    assert aws.read("scored/t1/a.csv.out").decode() == "".join(f"m:{number}\n" for number in range(1000))
    assert aws.read("scored/t1/more/b.csv.out") == b"m:x\nm:y\n"


def test_many_records_travel_in_payloads_of_at_most_the_limit(aws: Aws) -> None:
    line = "7" * 999
    aws.put("t2/a.csv", f"{line}\n" * 2500)
    job = transform(aws, "t2", MaxPayloadInMB=1, BatchStrategy="MultiRecord")
    assert (job["TransformJobStatus"], job["MaxPayloadInMB"]) == ("Completed", 1)
    assert aws.read("scored/t2/a.csv.out").decode() == f"m:{line}\n" * 2500


def test_a_bad_record_fails_its_object_and_the_job_but_not_the_others(aws: Aws) -> None:
    aws.put("t3/a.csv", "1\n2\n")
    aws.put("t3/b.csv", "1\nbad\n3\n")
    aws.put("t3/c.csv", "4\n")
    job = transform(aws, "t3", BatchStrategy="SingleRecord")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "ClientError: 400: unable to evaluate payload provided. See job logs for more information"
    )
    assert aws.keys("scored/t3/") == ["a.csv.out", "c.csv.out"]
    (line,) = aws.lines("TransformJobs", f"{job['TransformJobName']}/data-log")
    assert line.startswith("[sagemaker logs]: things/t3/b.csv: ClientError: 400: unable to evaluate")


def test_instances_share_the_objects(aws: Aws) -> None:
    for number in range(6):
        aws.put(f"t4/{number}.csv", "1\n")
    job = transform(aws, "t4", count=2)
    assert job["TransformJobStatus"] == "Completed"
    assert len(aws.keys("scored/t4/")) == 6
    servers = [line for line in aws.lines("TransformJobs", job["TransformJobName"]) if line.startswith("serving m as")]
    assert len(servers) == 2


def test_an_object_without_split_is_one_payload_and_answers_are_joined_as_they_are(aws: Aws) -> None:
    aws.put("t5/whole", "a\nb\n")
    assert transform(aws, "t5", split={}, assemble={})["TransformJobStatus"] == "Completed"
    assert aws.read("scored/t5/whole.out") == b"m:a\nm:b"


def test_an_object_larger_than_a_payload_must_be_split(aws: Aws) -> None:
    aws.put("t6/large", "1\n" * 700_000)
    job = transform(aws, "t6", split={}, MaxPayloadInMB=1)
    assert job["FailureReason"] == (
        "ClientError: the object is larger than MaxPayloadInMB (1048576 bytes); set SplitType"
    )


def test_gzip_is_unpacked(aws: Aws) -> None:
    aws.put("t7/a.csv.gz", gzip.compress(b"1\n2\n"))
    job = transform(aws, "t7", split={"SplitType": "Line", "CompressionType": "Gzip"})
    assert job["TransformJobStatus"] == "Completed"
    assert aws.read("scored/t7/a.csv.gz.out") == b"m:1\nm:2\n"


def test_the_containers_parameters_count_where_the_request_says_nothing(aws: Aws) -> None:
    aws.put("t8/a.csv", "1\nbad\n")
    told = json.dumps({"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1})
    job = transform(aws, "t8", model_environment={"PARAMETERS": told})
    assert job["TransformJobStatus"] == "Failed"
    aws.put("t9/a.csv", "7" * 1_100_000)
    job = transform(aws, "t9", model_environment={"PARAMETERS": told})
    assert job["FailureReason"] == (
        "ClientError: a record of 1100000 bytes is larger than MaxPayloadInMB (1048576 bytes)"
    )
    assert transform(aws, "t9", MaxPayloadInMB=2)["TransformJobStatus"] == "Completed"


def test_a_container_that_never_passes_its_ping_fails_the_job(aws: Aws) -> None:
    aws.put("t10/a.csv", "1\n")
    job = transform(aws, "t10", model_environment={"PING": "never"})
    assert job["FailureReason"] == (
        "The primary container did not pass the ping health check. Please check CloudWatch logs for this job."
    )


def test_a_stopped_job_ends_stopped(aws: Aws) -> None:
    aws.put("t11/a.csv", "1\n" * 100)
    name = unique("transform")
    source = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/t11"}}}
    aws.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=aws.model("slow", DELAY="30"),
        TransformInput={**source, "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{aws.bucket}/scored/t11"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    aws.sagemaker.stop_transform_job(TransformJobName=name)
    assert aws.wait("transform", name)["TransformJobStatus"] == "Stopped"
    assert aws.keys("scored/t11") == []


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"split": {"SplitType": "RecordIO"}}, "SplitType: only None and Line run locally."),
        (
            {"DataProcessing": {"JoinSource": "Input"}},
            "DataProcessing: filters and joins do not run locally; join in a processing job.",
        ),
    ],
)
def test_what_does_not_run_here_is_refused(aws: Aws, members: dict[str, Any], refusal: str) -> None:
    assert refused(partial(transform, aws, "none"), **members) == ("ValidationException", refusal)


def test_a_model_that_is_not_there_is_named(aws: Aws) -> None:
    found = refused(
        aws.sagemaker.create_transform_job,
        TransformJobName=unique("transform"),
        ModelName="nothing",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}}},
        TransformOutput={"S3OutputPath": "s3://b/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    assert found[1] == 'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/nothing".'
