"""Batch transform; the stub container answers each line with `<label>:<line>`, and 400 to a body with `bad`."""

import gzip
import json
from typing import Any

import pytest

from .aws import Aws

pytestmark = pytest.mark.cloud


def transform(aws: Aws, data: str, count: int = 1, model: dict[str, str] | None = None, **members: Any) -> Any:
    """The description of a job over the objects below `data` after its end; `model` is the model's environment."""
    request = aws.transform_request(data, aws.model("m", **model or {}), count, **members)
    return aws.wait("transform", aws.start("transform", request))


def test_each_object_has_its_results_below_its_name_in_order(aws: Aws) -> None:
    aws.put("t1/a.csv", "\n".join(str(number) for number in range(1000)))
    aws.put("t1/more/b.csv", "x\r\ny\r\n")
    job = transform(aws, "t1", MaxConcurrentTransforms=4, BatchStrategy="SingleRecord")
    assert job["TransformJobStatus"] == "Completed"
    assert aws.keys("scored/t1/") == ["a.csv.out", "more/b.csv.out"]
    assert aws.read("scored/t1/a.csv.out").decode() == "".join(f"m:{number}\n" for number in range(1000))
    assert aws.read("scored/t1/more/b.csv.out") == b"m:x\nm:y\n"


def test_a_bad_record_fails_its_object_and_the_job_but_not_the_others(aws: Aws) -> None:
    for name, body in (("a", "1\n2\n"), ("b", "1\nbad\n3\n"), ("c", "4\n")):
        aws.put(f"t3/{name}.csv", body)
    job = transform(aws, "t3", BatchStrategy="SingleRecord")
    reason = "ClientError: 400: unable to evaluate payload provided. See job logs for more information"
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", reason)
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


LINE = "7" * 999


@pytest.mark.parametrize(
    ("name", "body", "members", "result"),
    [
        ("whole", "a\nb\n", {"Split": {}, "Assemble": {}}, "m:a\nm:b"),
        ("zip.gz", gzip.compress(b"1\n2\n"), {"Split": {"SplitType": "Line", "CompressionType": "Gzip"}}, "m:1\nm:2\n"),
        ("many.csv", f"{LINE}\n" * 2500, {"MaxPayloadInMB": 1, "BatchStrategy": "MultiRecord"}, f"m:{LINE}\n" * 2500),
    ],
    ids=["without split", "gzip", "payloads of at most 1 MB"],
)
def test_payloads_follow_the_request(
    aws: Aws, name: str, body: bytes | str, members: dict[str, Any], result: str
) -> None:
    aws.put(f"t5/{name}", body)
    job = transform(aws, f"t5/{name}", **members)
    assert job["TransformJobStatus"] == "Completed"
    assert job.get("MaxPayloadInMB") == members.get("MaxPayloadInMB")
    assert aws.read(f"scored/t5/{name}/{name}.out").decode() == result


def test_an_object_larger_than_a_payload_must_be_split(aws: Aws) -> None:
    aws.put("t6/large", "1\n" * 700_000)
    job = transform(aws, "t6", Split={}, MaxPayloadInMB=1)
    reason = "ClientError: the object is larger than MaxPayloadInMB (1048576 bytes); set SplitType"
    assert job["FailureReason"] == reason


def test_the_containers_parameters_are_the_requests_defaults(aws: Aws) -> None:
    parameters = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    model = {"PARAMETERS": json.dumps(parameters)}
    aws.put("t8/a.csv", "1\nbad\n")
    assert transform(aws, "t8", model=model)["TransformJobStatus"] == "Failed"
    aws.put("t9/a.csv", "7" * 1_100_000)
    reason = "ClientError: a record of 1100000 bytes is larger than MaxPayloadInMB (1048576 bytes)"
    assert transform(aws, "t9", model=model)["FailureReason"] == reason
    assert transform(aws, "t9", MaxPayloadInMB=2)["TransformJobStatus"] == "Completed"


def test_a_container_that_never_passes_its_ping_fails_the_job(aws: Aws) -> None:
    aws.put("t10/a.csv", "1\n")
    reason = "The primary container did not pass the ping health check. Please check CloudWatch logs for this job."
    assert transform(aws, "t10", model={"PING": "never"})["FailureReason"] == reason


def test_a_stopped_job_ends_stopped(aws: Aws) -> None:
    aws.put("t11/a.csv", "1\n" * 100)
    name = aws.start("transform", aws.transform_request("t11", aws.model("slow", DELAY="30")))
    aws.sagemaker.stop_transform_job(TransformJobName=name)
    assert aws.wait("transform", name)["TransformJobStatus"] == "Stopped"
    assert aws.keys("scored/t11") == []
