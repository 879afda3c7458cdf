"""Keys that are no paths of files: S3 keeps each, and a job either gets its file or names the key."""

import pytest

from .aws import Aws, processing_input, unique

KEYS = [
    "/x.csv",
    "a//b.csv",
    "a\n.csv",
    "x.csv",
    "x.csv/y",
    "x.csv/y/z",
    "./x.csv",
    "../x.csv",
    "é ü+%&.csv",
    "n" * 300,
]


@pytest.mark.parametrize("order", [1, -1])
def test_s3_keeps_each_key_beside_the_others(aws: Aws, order: int) -> None:
    prefix = f"{unique('keys')}/"
    for key in KEYS[::order]:
        aws.put(prefix + key, key)
    assert aws.keys(prefix) == sorted(KEYS, key=str.encode)
    assert [aws.read(prefix + key).decode() for key in KEYS] == KEYS
    for number, key in enumerate(KEYS):
        aws.s3.delete_object(Bucket=aws.bucket, Key=prefix + key)
        assert aws.keys(prefix) == sorted(KEYS[number + 1 :], key=str.encode)


def inputs_of(aws: Aws, *keys: str) -> str:
    """The last line of a job that reads these keys, or the sentence by which it fails."""
    prefix = f"{unique('keys')}/"
    for key in keys:
        aws.put(prefix + key, key)
    program = "import pathlib\nroot = pathlib.Path('/opt/ml/processing/data')\n"
    program += "print(sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file()))"
    job = aws.processed(program, inputs=[processing_input(f"s3://{aws.bucket}/{prefix}", "data")])
    if job["ProcessingJobStatus"] == "Failed":
        return str(job["FailureReason"]).replace(prefix, "")
    return aws.lines("ProcessingJobs", job["ProcessingJobName"])[-1]


@pytest.mark.drill(
    "diagnosis",
    "a job reads keys such as raw//x, or x.csv beside x.csv/y",
    "a file per key, or one error that names the key",
)
def test_a_job_gets_a_file_per_key_or_names_the_key(aws: Aws) -> None:
    failed = "ClientError: Data download failed: the key "
    no_path = "is no path of a file in its folder"
    assert inputs_of(aws, "a\n.csv", "b/a.csv", "é.csv") == str(["a\n.csv", "b/a.csv", "é.csv"])
    assert inputs_of(aws, "x.csv", "/x.csv") == f"{failed}'/x.csv' {no_path}"
    assert inputs_of(aws, "a//b.csv") == f"{failed}'a//b.csv' {no_path}"
    assert inputs_of(aws, "x.csv", "x.csv/y").startswith(f"{failed}'x.csv/y' is no file beside the others: ")
    assert inputs_of(aws, "n" * 300) == f"{failed}'{'n' * 300}' is no file beside the others: File name too long"
