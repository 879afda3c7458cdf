"""Objects of many megabytes: in files from their upload to the job that reads them, and the same to every client."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws.cloud import ACCOUNT
from local_aws.file_transfer import HEADER, LARGE

from .aws import Aws
from .test_processing import source, submit, target

pytestmark = pytest.mark.cloud
PART = 5 << 20
BODY = random.Random(7).randbytes(2 * PART + 12345)


def upload(aws: Aws, key: str, body: bytes = BODY) -> str:
    """In parts; its URI."""
    asked = {"Bucket": aws.bucket, "Key": key}
    identity = aws.s3.create_multipart_upload(**asked)["UploadId"]
    parts: list[dict[str, Any]] = []
    for number, start in reversed(list(enumerate(range(0, len(body), PART), 1))):
        piece = body[start : start + PART]
        made = aws.s3.upload_part(**asked, UploadId=identity, PartNumber=number, Body=piece)
        parts.insert(0, {"PartNumber": number, "ETag": made["ETag"]})
    aws.s3.complete_multipart_upload(**asked, UploadId=identity, MultipartUpload={"Parts": parts})
    return f"s3://{aws.bucket}/{key}"


def stored(aws: Aws, key: str) -> Path:
    return aws.cloud.home / "s3" / ACCOUNT / aws.bucket / key


def test_an_upload_in_parts_is_the_object_that_aws_makes_of_it(aws: Aws) -> None:
    upload(aws, "large/parts.bin")
    pieces = [BODY[start : start + PART] for start in range(0, len(BODY), PART)]
    digests = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    found = aws.s3.get_object(Bucket=aws.bucket, Key="large/parts.bin")
    assert found["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert found["ContentLength"] == len(BODY)
    assert found["Body"].read() == BODY
    assert list((aws.cloud.home / "s3/.parts").iterdir()) == []


def test_a_range_of_a_large_object_is_its_bytes(aws: Aws) -> None:
    upload(aws, "large/range.bin")
    found = aws.s3.get_object(Bucket=aws.bucket, Key="large/range.bin", Range="bytes=100-8500000")
    assert (found["ContentRange"], found["Body"].read()) == (f"bytes 100-8500000/{len(BODY)}", BODY[100:8500001])


def test_parts_that_are_copied_and_parts_that_are_sent_make_one_object(aws: Aws) -> None:
    upload(aws, "large/origin.bin")
    asked = {"Bucket": aws.bucket, "Key": "large/mixed.bin"}
    part = {**asked, "UploadId": aws.s3.create_multipart_upload(**asked)["UploadId"]}
    origin = {"Bucket": aws.bucket, "Key": "large/origin.bin"}
    copied = aws.s3.upload_part_copy(**part, PartNumber=1, CopySource=origin)["CopyPartResult"]
    sent = aws.s3.upload_part(**part, PartNumber=2, Body=b"the end")
    parts = [{"PartNumber": 1, "ETag": copied["ETag"]}, {"PartNumber": 2, "ETag": sent["ETag"]}]
    aws.s3.complete_multipart_upload(**part, MultipartUpload={"Parts": parts})
    assert aws.read("large/mixed.bin") == BODY + b"the end"


def test_an_abandoned_upload_leaves_no_file(aws: Aws) -> None:
    asked = {"Bucket": aws.bucket, "Key": "large/never.bin"}
    part = {**asked, "UploadId": aws.s3.create_multipart_upload(**asked)["UploadId"]}
    aws.s3.upload_part(**part, PartNumber=1, Body=BODY)
    aws.s3.abort_multipart_upload(**part)
    assert list((aws.cloud.home / "s3/.parts").iterdir()) == []


def test_a_large_object_that_was_replaced_is_still_its_version(aws: Aws) -> None:
    asked = {"Bucket": "versions-of-large", "Key": "a.bin"}
    aws.s3.create_bucket(Bucket=asked["Bucket"])
    aws.s3.put_bucket_versioning(Bucket=asked["Bucket"], VersioningConfiguration={"Status": "Enabled"})
    made = [aws.s3.put_object(**asked, Body=body)["VersionId"] for body in (BODY, BODY[::-1])]
    bodies = [aws.s3.get_object(**asked, VersionId=version)["Body"].read() for version in made]
    assert bodies == [BODY, BODY[::-1]]


def test_a_job_reads_and_leaves_large_files_without_a_copy(aws: Aws) -> None:
    program = """
import os, pathlib, shutil
for name in ("large.bin", "small.bin"):
    file = pathlib.Path("processing/data", name)
    print(name, oct(file.stat().st_mode)[-3:])
    (pathlib.Path("processing/out") / name).write_bytes(file.read_bytes()[::-1])
print(pathlib.Path("processing/data/large.bin").stat().st_ino)
print(pathlib.Path("processing/out/large.bin").stat().st_ino)
"""
    uri = upload(aws, "large/job/large.bin").removesuffix("/large.bin")
    aws.put("large/job/small.bin", BODY[: LARGE - 1])
    output = target(f"s3://{aws.bucket}/large/out", "out")
    name = submit(aws, program, inputs=[source(uri, "data")], ProcessingOutputConfig=output)
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed"
    inode = [str(stored(aws, key).stat().st_ino) for key in ("large/job/large.bin", "large/out/large.bin")]
    assert aws.lines("ProcessingJobs", name) == ["large.bin 444", "small.bin 644", *inode]
    left = aws.s3.get_object(Bucket=aws.bucket, Key="large/out/large.bin")
    assert left["ETag"] == f'"{hashlib.md5(BODY[::-1]).hexdigest()}"'
    assert left["Body"].read() == BODY[::-1]
    assert aws.read("large/out/small.bin") == BODY[: LARGE - 1][::-1]
    assert aws.read("large/job/large.bin") == BODY


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [
        ("s3:PutObject", "ClientError: Data download failed: cannot read"),
        ("s3:GetObject", "ClientError: Failed to upload to"),
    ],
)
def test_a_role_that_may_not_gets_no_link_either(aws: Aws, allowed: str, reason: str) -> None:
    uri = upload(aws, f"large/{allowed[3:]}/a.bin")
    rest = {"Effect": "Allow", "NotAction": ["s3:PutObject", "s3:GetObject"], "Resource": "*"}
    code = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/code/*"}
    some = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    role = aws.role(f"only-{allowed[3:]}", ["sagemaker"], rest, code, some)
    program = "open('processing/out/a.bin', 'wb').write(b'0' * (9 << 20))"
    output = target(f"s3://{aws.bucket}/large/refused", "out")
    name = submit(aws, program, inputs=[source(uri, "data")], ProcessingOutputConfig=output, RoleArn=role)
    job = aws.wait("processing", name)
    assert job["FailureReason"].startswith(reason), job
    assert "AccessDenied" in job["FailureReason"]
    assert aws.keys("large/refused") == []


def test_no_caller_can_name_a_file_of_this_machine(aws: Aws) -> None:
    client = aws.client("s3")
    client.meta.events.register(
        "before-call.s3", lambda params, **_: params["headers"].update({HEADER: "/etc/hostname"})
    )
    client.put_object(Bucket=aws.bucket, Key="large/named", Body=b"mine")
    assert client.get_object(Bucket=aws.bucket, Key="large/named")["Body"].read() == b"mine"
    with pytest.raises(ClientError):
        client.get_object(Bucket=aws.bucket, Key="large/nothing")
