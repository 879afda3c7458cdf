"""Processing jobs: the caller's own program in its sandbox."""

import json
from functools import partial
from typing import Any

import psutil
import pytest

from .aws import ROLE, SCIKIT, Aws, refused, unique

pytestmark = pytest.mark.cloud


def submit(aws: Aws, program: str, *arguments: str, count: int = 1, **members: Any) -> str:
    name = unique("process")
    code = aws.put(f"code/{name}/program.py", program)
    request = {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": SCIKIT,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/program.py"],
            **({"ContainerArguments": list(arguments)} if arguments else {}),
        },
        "ProcessingInputs": [source(code, "code"), *members.pop("inputs", [])],
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        **members,
    }
    aws.sagemaker.create_processing_job(**request)
    return name


def source(uri: str, folder: str, **more: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{folder}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": folder, "S3Input": s3 | more}


def target(uri: str, folder: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{folder}", "S3UploadMode": "EndOfJob"}
    return {"Outputs": [{"OutputName": folder.replace("/", "-"), "S3Output": s3}]}


def test_paths_of_the_container_point_into_the_sandbox(aws: Aws) -> None:
    program = """
import json, os, pathlib, sys
given = {"--in": sys.argv[1], "equals": sys.argv[2].partition("=")[2], "word": sys.argv[3], "env": os.environ["DATA"]}
for path in (given["--in"], given["equals"], given["env"]):
    assert pathlib.Path(path).is_dir(), path
pathlib.Path(sys.argv[4], "deep").mkdir()
pathlib.Path(sys.argv[4], "deep", "answer.txt").write_text("42")
pathlib.Path(sys.argv[4], "link.txt").symlink_to("/etc/hostname")
pathlib.Path(sys.argv[4], "linked").symlink_to("/etc")
print(given["word"], pathlib.Path.cwd().name)
"""
    places = ("/opt/ml/processing/data", "--also=/opt/ml/processing/data", "x/opt/ml/y", "/opt/ml/processing/out")
    data = aws.put("data/some/a.csv", "1\n").removesuffix("/a.csv")
    name = submit(
        aws,
        program,
        *places,
        inputs=[source(data, "data")],
        Environment={"DATA": "/opt/ml/processing/data"},
        ProcessingOutputConfig=target(f"s3://{aws.bucket}/answers/first/", "out"),
    )
    job = aws.wait("processing", name)
    assert job["ProcessingJobStatus"] == "Completed", aws.lines("ProcessingJobs", name)
    assert aws.keys("answers/first/") == ["deep/answer.txt"]
    assert aws.lines("ProcessingJobs", f"{name}/algo-1-") == ["x/opt/ml/y ml"]


def test_the_environment_is_clean_and_reaches_the_local_aws(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import os, boto3
print(sorted(name for name in os.environ if not name.startswith(("COVERAGE", "LC_", "LANG", "TMPDIR", "__"))))
print([bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"] if bucket["Name"] == "things"])
"""
    name = submit(aws, program, Environment={"MINE": "1"})
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed"
    assert aws.lines("ProcessingJobs", name) == [
        "['AWS_ACCESS_KEY_ID', 'AWS_DEFAULT_REGION', 'AWS_EC2_METADATA_DISABLED', 'AWS_ENDPOINT_URL', 'AWS_REGION', "
        "'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'HOME', 'MINE', 'PATH', 'PYTHONUNBUFFERED']",
        "['things']",
    ]


def test_without_a_network_there_are_no_credentials(aws: Aws) -> None:
    program = "import os; print(sorted(name for name in os.environ if name.startswith('AWS_')))"
    name = submit(aws, program, NetworkConfig={"EnableNetworkIsolation": True})
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed"
    assert aws.lines("ProcessingJobs", name) == ["['AWS_DEFAULT_REGION', 'AWS_REGION']"]


def test_instances_are_processes_that_know_each_other_and_share_the_keys(aws: Aws) -> None:
    program = """
import json, os, pathlib
root = pathlib.Path("/opt/ml") if os.path.exists("/opt/ml/config") else pathlib.Path.cwd()
config = json.loads((root / "config/resourceconfig.json").read_text())
job = json.loads((root / "config/processingjobconfig.json").read_text())
seen = {f: sorted(p.name for p in (root / "processing" / f).iterdir()) for f in ("all", "part")}
text = json.dumps([config["current_host"], config["hosts"], config["current_instance_type"], seen])
(root / "processing/out" / f"{config['current_host']}.json").write_text(text)
print(job["ProcessingJobName"])
"""
    for letter in "abcde":
        uri = aws.put(f"shards/{letter}.csv", letter).removesuffix(f"/{letter}.csv")
    inputs = [source(uri, "all"), source(uri, "part", S3DataDistributionType="ShardedByS3Key")]
    output = target(f"s3://{aws.bucket}/answers/shards", "out")
    name = submit(aws, program, count=2, inputs=inputs, ProcessingOutputConfig=output)
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed"
    everything = ["a.csv", "b.csv", "c.csv", "d.csv", "e.csv"]
    hosts = ["algo-1", "algo-2"]
    assert [json.loads(aws.read(f"answers/shards/{host}.json")) for host in hosts] == [
        ["algo-1", hosts, "ml.m5.large", {"all": everything, "part": ["a.csv", "c.csv", "e.csv"]}],
        ["algo-2", hosts, "ml.m5.large", {"all": everything, "part": ["b.csv", "d.csv"]}],
    ]
    assert aws.lines("ProcessingJobs", f"{name}/algo-2-") == [name]


def test_a_failing_instance_ends_the_others_and_uploads_nothing(aws: Aws) -> None:
    program = """
import json, pathlib, sys, time
pathlib.Path("processing/out/partial.txt").write_text("half")
if json.loads(pathlib.Path("config/resourceconfig.json").read_text())["current_host"] == "algo-2":
    pathlib.Path("output/message").write_text("row 7: " + "ä" * 2000)
    sys.exit(9)
time.sleep(600)
"""
    name = submit(aws, program, count=2, ProcessingOutputConfig=target(f"s3://{aws.bucket}/answers/fails", "out"))
    job = aws.wait("processing", name)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information, exit code: 9"
    assert job["ExitMessage"] == "row 7: " + "ä" * 508
    assert aws.keys("answers/fails") == []


def test_a_message_is_kept_on_success_and_must_be_text(aws: Aws) -> None:
    good = submit(aws, "open('output/message', 'w').write('12 rows refused')")
    bad = submit(aws, r"open('output/message', 'wb').write(b'\xff\xfe')")
    assert aws.wait("processing", good)["ExitMessage"] == "12 rows refused"
    job = aws.wait("processing", bad)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: /opt/ml/output/message is not UTF-8 text"


def test_a_manifest_names_the_objects(aws: Aws) -> None:
    aws.put("manifest/data/a.csv", "a")
    aws.put("manifest/data/sub/b.csv", "b")
    aws.put("manifest/data/c.csv", "c")
    text = json.dumps([{"prefix": f"s3://{aws.bucket}/manifest/data/"}, "a.csv", "sub/b.csv"])
    uri = aws.put("manifest/list.json", text)
    program = """
import pathlib
root = pathlib.Path('processing/data')
print(sorted(str(p.relative_to(root)) for p in root.rglob('*.csv')))
"""
    name = submit(aws, program, inputs=[source(uri, "data", S3DataType="ManifestFile")])
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed"
    assert aws.lines("ProcessingJobs", name) == ["['a.csv', 'sub/b.csv']"]


def test_a_job_above_its_maximum_runtime_ends_stopped_with_all_its_processes(aws: Aws) -> None:
    program = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid)
time.sleep(600)
"""
    name = submit(aws, program, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = aws.wait("processing", name)
    assert job["ProcessingJobStatus"] == "Stopped"
    (child,) = aws.lines("ProcessingJobs", name)
    assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        (
            {"AppSpecification": {"ImageUri": SCIKIT}},
            "AppSpecification.ContainerEntrypoint: this image has no program of its own here.",
        ),
        (
            {"ProcessingOutputConfig": target("s3://b/k", "../../etc")},
            "LocalPath '/opt/ml/processing/../../etc' must start with /opt/ml/processing.",
        ),
        (
            {"inputs": [{"InputName": "x", "S3Input": {"S3Uri": "s3://b/k", "S3DataType": "S3Prefix"}}]},
            "LocalPath '.' must start with /opt/ml/processing.",
        ),
        (
            {"inputs": [{"InputName": "x", "DatasetDefinition": {"LocalPath": "/opt/ml/processing/x"}}]},
            "Only S3Input runs locally; got DatasetDefinition, InputName.",
        ),
    ],
)
def test_what_does_not_run_here_is_refused(aws: Aws, members: dict[str, Any], refusal: str) -> None:
    assert refused(partial(submit, aws, ""), **members) == ("ValidationException", refusal)


def test_a_job_that_is_not_there_is_named(aws: Aws) -> None:
    found = refused(aws.sagemaker.describe_processing_job, ProcessingJobName="nothing")
    assert found == ("ValidationException", "Could not find requested job with name: nothing")
