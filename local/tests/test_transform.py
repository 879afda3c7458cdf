"""Batch transform; the stub container answers each line with `<label>:<line>`, and 400 to a body with `bad`."""

import gzip
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import IO, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from local_aws.sagemaker.api.errors import JobError
from local_aws.sagemaker.jobs.transform import assembled, many, single

from .aws import Aws, unique


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


@pytest.mark.parametrize("answer", ["no JSON", "[1]"])
def test_an_answer_to_execution_parameters_that_is_no_json_object_leaves_the_defaults(aws: Aws, answer: str) -> None:
    data = unique("t")
    aws.put(f"{data}/a.csv", "1\n2\n")
    assert transform(aws, data, model={"PARAMETERS": answer})["TransformJobStatus"] == "Completed"
    assert aws.read(f"scored/{data}/a.csv.out") == b"m:1\nm:2\n"


def test_a_transform_job_gives_way_to_what_serves(aws: Aws) -> None:
    data = unique("t")
    aws.put(f"{data}/a.csv", "niceness")
    assert transform(aws, data)["TransformJobStatus"] == "Completed"
    assert aws.read(f"scored/{data}/a.csv.out") == b"5\n"


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
    ("name", "body", "members", "out"),
    [
        ("whole", "a\nb\n", {"Split": {}, "Assemble": {}}, "m:a\nm:b"),
        ("zip.gz", gzip.compress(b"1\n2\n"), {"Split": {"SplitType": "Line", "CompressionType": "Gzip"}}, "m:1\nm:2\n"),
        ("many.csv", f"{LINE}\n" * 2500, {"MaxPayloadInMB": 1, "BatchStrategy": "MultiRecord"}, f"m:{LINE}\n" * 2500),
    ],
    ids=["without split", "gzip", "payloads of at most 1 MB"],
)
def test_payloads_follow_the_request(aws: Aws, name: str, body: bytes | str, members: dict[str, Any], out: str) -> None:
    aws.put(f"t5/{name}", body)
    job = transform(aws, f"t5/{name}", **members)
    assert job["TransformJobStatus"] == "Completed"
    assert job.get("MaxPayloadInMB") == members.get("MaxPayloadInMB")
    assert aws.read(f"scored/t5/{name}/{name}.out").decode() == out


def test_an_object_larger_than_a_payload_must_be_split(aws: Aws) -> None:
    aws.put("t6/large", "1\n" * 700_000)
    job = transform(aws, "t6", Split={}, MaxPayloadInMB=1)
    assert (
        job["FailureReason"] == "ClientError: the object is larger than MaxPayloadInMB (1048576 bytes); set SplitType"
    )


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


@pytest.mark.parametrize(
    ("limit", "expected"), [(5, [b"aa\nbb", b"cc\ndd"]), (4, [b"aa", b"bb", b"cc", b"dd"]), (100, [b"aa\nbb\ncc\ndd"])]
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_payloads_hold_as_many_lines_as_fit(limit: int, expected: list[bytes], end: bytes) -> None:
    assert list(many(BytesIO(b"aa\nbb\ncc\ndd" + end), limit)) == expected


def test_payloads_have_no_empty_lines_and_plain_line_ends() -> None:
    assert list(single(BytesIO(b"aa\nbb\n"), 100)) == [b"aa", b"bb"]
    assert list(many(BytesIO(b"\n\na\r\n\n  \nb\n\n"), 100)) == [b"a\nb"]


@example([b"  ", b"", b""], 10)
@example([b"\x0b", b" ", b"a", b"\t", b"b"], 6)
@given(st.lists(st.binary(max_size=6).filter(lambda line: not set(line) & set(b"\n\r"))), st.integers(6, 20))
def test_payloads_hold_every_record_once_in_order(lines: list[bytes], limit: int) -> None:
    expected = [line for line in lines if line.strip()]
    found = list(many(BytesIO(b"\n".join(lines)), limit))
    assert [line for payload in found for line in payload.split(b"\n")] == expected
    assert all(len(payload) <= limit for payload in found)


@pytest.mark.parametrize("cut", [single, many])
def test_a_line_above_the_limit_is_refused(cut: Callable[[IO[bytes], int], Iterator[bytes]]) -> None:
    with pytest.raises(JobError, match="a record of 9 bytes is larger than MaxPayloadInMB"):
        list(cut(BytesIO(b"aa\nbbbbbbbbb\r\ncc"), 4))


def test_assembling_by_line_ends_each_answer_once() -> None:
    assert assembled(b"x", "Line") == assembled(b"x\n", "Line") == b"x\n"
    assert assembled(b"x", "None") == b"x"
