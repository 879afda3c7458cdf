"""Objects of many megabytes: uploads in parts, ranges, versions, and links for the jobs that read them."""

import hashlib
import random
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws.cloud import ACCOUNT
from local_aws.file_transfer import HEADER, LARGE

from .aws import EVERYTHING, PROGRAMS, Aws, but, processing_input, processing_output

PART = 5 << 20
BODY = random.Random(7).randbytes(2 * PART + 12345)


def begin_upload(aws: Aws, key: str) -> dict[str, Any]:
    """The members that name a new multipart upload."""
    item = {"Bucket": aws.bucket, "Key": key}
    return {**item, "UploadId": aws.s3.create_multipart_upload(**item)["UploadId"]}


def complete(aws: Aws, upload: dict[str, Any], etags: dict[int, str]) -> None:
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    aws.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def uploaded(aws: Aws, key: str) -> str:
    """The URI of BODY, uploaded in parts, the last part first."""
    upload, etags = begin_upload(aws, key), {}
    for number, start in reversed(list(enumerate(range(0, len(BODY), PART), 1))):
        etags[number] = aws.s3.upload_part(**upload, PartNumber=number, Body=BODY[start : start + PART])["ETag"]
    complete(aws, upload, etags)
    return f"s3://{aws.bucket}/{key}"


def stored(aws: Aws, key: str) -> Path:
    return aws.cloud.home / "s3" / ACCOUNT / aws.bucket / key


def test_an_upload_in_parts_is_the_same_object_as_on_aws(aws: Aws) -> None:
    uploaded(aws, "large/parts.bin")
    item = {"Bucket": aws.bucket, "Key": "large/parts.bin"}
    digests = b"".join(hashlib.md5(BODY[start : start + PART]).digest() for start in range(0, len(BODY), PART))
    found = aws.s3.get_object(**item)
    assert (found["ETag"], found["ContentLength"]) == (f'"{hashlib.md5(digests).hexdigest()}-3"', len(BODY))
    assert found["Body"].read() == BODY
    found = aws.s3.get_object(**item, Range="bytes=100-8500000")
    assert (found["ContentRange"], found["Body"].read()) == (f"bytes 100-8500000/{len(BODY)}", BODY[100:8500001])
    upload = begin_upload(aws, "large/mixed.bin")
    etags = {
        1: aws.s3.upload_part_copy(**upload, PartNumber=1, CopySource=item)["CopyPartResult"]["ETag"],
        2: aws.s3.upload_part(**upload, PartNumber=2, Body=b"the end")["ETag"],
    }
    complete(aws, upload, etags)
    assert aws.read("large/mixed.bin") == BODY + b"the end"


def test_a_finished_or_aborted_upload_leaves_no_part(aws: Aws) -> None:
    uploaded(aws, "large/finished.bin")
    upload = begin_upload(aws, "large/never.bin")
    aws.s3.upload_part(**upload, PartNumber=1, Body=BODY)
    aws.s3.abort_multipart_upload(**upload)
    assert list((aws.cloud.home / "s3/.parts").iterdir()) == []


def test_a_large_object_that_was_replaced_is_still_its_version(aws: Aws) -> None:
    item = {"Bucket": "versions-of-large", "Key": "a.bin"}
    aws.s3.create_bucket(Bucket=item["Bucket"])
    aws.s3.put_bucket_versioning(Bucket=item["Bucket"], VersioningConfiguration={"Status": "Enabled"})
    versions = [aws.s3.put_object(**item, Body=body)["VersionId"] for body in (BODY, BODY[::-1])]
    bodies = [aws.s3.get_object(**item, VersionId=version)["Body"].read() for version in versions]
    assert bodies == [BODY, BODY[::-1]]


def test_a_job_reads_and_leaves_large_files_without_a_copy(aws: Aws) -> None:
    uri = uploaded(aws, "large/job/large.bin").removesuffix("/large.bin")
    aws.put("large/job/small.bin", BODY[: LARGE - 1])
    output = processing_output(f"s3://{aws.bucket}/large/out")
    job = aws.processed(PROGRAMS["large files"], inputs=[processing_input(uri, "data")], ProcessingOutputConfig=output)
    assert job["ProcessingJobStatus"] == "Completed"
    inode = [str(stored(aws, key).stat().st_ino) for key in ("large/job/large.bin", "large/out/large.bin")]
    lines = aws.lines("ProcessingJobs", job["ProcessingJobName"])
    assert lines == ["large.bin 400", "small.bin 600", *inode]
    left = aws.s3.get_object(Bucket=aws.bucket, Key="large/out/large.bin")
    assert re.fullmatch('"[0-9a-f]{32}-1"', left["ETag"])
    assert left["Body"].read() == BODY[::-1]
    assert aws.read("large/out/small.bin") == BODY[: LARGE - 1][::-1]
    assert aws.read("large/job/large.bin") == BODY


REFUSED = {"s3:PutObject": "Data download failed: cannot read", "s3:GetObject": "Failed to upload to"}


@pytest.mark.parametrize("allowed", REFUSED)
def test_a_role_without_permission_gets_no_link(aws: Aws, allowed: str) -> None:
    uri = uploaded(aws, f"large/{allowed[3:]}/a.bin")
    code = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/code/*"}
    some = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    role = aws.role(f"only-{allowed[3:]}", ["sagemaker"], but("s3:PutObject", "s3:GetObject"), code, some)
    program = "open('processing/out/a.bin', 'wb').write(b'0' * (9 << 20))"
    output = processing_output(f"s3://{aws.bucket}/large/refused")
    job = aws.processed(program, inputs=[processing_input(uri, "data")], ProcessingOutputConfig=output, RoleArn=role)
    assert job["FailureReason"].startswith(f"ClientError: {REFUSED[allowed]}"), job
    assert "AccessDenied" in job["FailureReason"]
    assert aws.keys("large/refused") == []


def test_no_caller_can_name_a_file_of_this_machine(aws: Aws) -> None:
    client, item = aws.user("s3", EVERYTHING), {"Bucket": aws.bucket, "Key": "large/named"}
    named = {HEADER: "/etc/hostname"}
    client.meta.events.register("before-call.s3", lambda params, **_: params["headers"].update(named))
    client.put_object(**item, Body=b"mine")
    assert client.get_object(**item)["Body"].read() == b"mine"
    with pytest.raises(ClientError):
        client.get_object(Bucket=aws.bucket, Key="large/nothing")
