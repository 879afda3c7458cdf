"""Processing jobs: the caller's own program in its sandbox."""

import json
from pathlib import Path

import psutil
from local_aws.cloud import running

from .aws import PROGRAMS, Aws, processing_input, processing_output


def completed(aws: Aws, program: str, *arguments: str, stream: str = "", **given: object) -> list[str]:
    """The log lines of a job that completes; `stream` is the beginning of the streams' names after the job's."""
    name = aws.process(program, *arguments, **given)
    assert aws.wait("processing", name)["ProcessingJobStatus"] == "Completed", aws.lines("ProcessingJobs", name)
    return aws.lines("ProcessingJobs", f"{name}{stream}")


def test_paths_of_the_container_point_into_the_sandbox(aws: Aws) -> None:
    paths = ("/opt/ml/processing/data", "--also=/opt/ml/processing/data", "x/opt/ml/y", "/opt/ml/processing/out")
    data = aws.put("data/some/a.csv", "1\n").removesuffix("/a.csv")
    lines = completed(
        aws,
        PROGRAMS["paths"],
        *paths,
        stream="/algo-1-",
        inputs=[processing_input(data, "data")],
        Environment={"DATA": "/opt/ml/processing/data"},
        ProcessingOutputConfig=processing_output(f"s3://{aws.bucket}/answers/first/"),
    )
    assert aws.keys("answers/first/") == ["deep/answer.txt"]
    assert lines == ["x/opt/ml/y ml"]


def test_each_container_has_its_own_opt_ml(aws: Aws) -> None:
    host = sorted({*(path.name for path in Path("/opt").iterdir()), "ml"})
    jobs = {}
    for name in "abc":
        data = processing_input(aws.put(f"mounts/{name}/a.txt", name).removesuffix("/a.txt"), "all")
        output = processing_output(f"s3://{aws.bucket}/mounts/out")
        jobs[name] = aws.process(PROGRAMS["own opt ml"], " ".join(host), inputs=[data], ProcessingOutputConfig=output)
    for name, job in jobs.items():
        assert aws.wait("processing", job)["ProcessingJobStatus"] == ("Failed" if name == "c" else "Completed")
        assert aws.lines("ProcessingJobs", job)[0] == f"{name} /opt/ml True True"
    assert aws.lines("ProcessingJobs", jobs["c"])[1:] == ["no /opt/ml/processing"]
    assert aws.keys("mounts/out/") == ["a", "b"]
    assert aws.read("mounts/out/a") == b"/opt/ml"


def test_without_mounts_the_paths_of_a_request_are_translated_and_the_log_says_so(tmp_path: Path) -> None:
    with running(home=tmp_path, environment={"PATH": ""}) as cloud:
        aws = Aws(cloud)
        job = aws.processed(PROGRAMS["translated paths"], "/opt/ml/processing/code", Environment={"ROOT": "/opt/ml"})
        assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "in /opt/ml/processing/code")
        assert aws.lines("ProcessingJobs", job["ProcessingJobName"]) == ["/opt/ml/processing/code False"]
        assert "cannot mount /opt/ml" in (tmp_path / "aws.log").read_text()


def test_a_program_that_is_not_there_fails_the_job(aws: Aws) -> None:
    request = aws.processing_request()
    request["AppSpecification"]["ContainerEntrypoint"] = ["/opt/ml/processing/code/nothing"]
    job = aws.wait("processing", aws.start("processing", request))
    reason = "AlgorithmError: See job logs for more information, exit code: 127"
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert "/opt/ml/processing/code/nothing: " in aws.lines("ProcessingJobs", job["ProcessingJobName"])[0]


def test_the_environment_is_clean_and_reaches_the_local_aws(aws: Aws) -> None:
    assert completed(aws, PROGRAMS["environment"], Environment={"MINE": "1"}) == [
        "['AWS_ACCESS_KEY_ID', 'AWS_DEFAULT_REGION', 'AWS_EC2_METADATA_DISABLED', 'AWS_ENDPOINT_URL', 'AWS_REGION', "
        "'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'HOME', 'MINE', 'PATH', 'PYTHONUNBUFFERED']",
        "['things']",
    ]
    program = "import os; print(sorted(name for name in os.environ if name.startswith('AWS_')))"
    isolated = completed(aws, program, NetworkConfig={"EnableNetworkIsolation": True})
    assert isolated == ["['AWS_DEFAULT_REGION', 'AWS_REGION']"]


def test_a_processing_job_gives_way_to_what_serves(aws: Aws) -> None:
    program = "import os, time\nwhile not os.nice(0): time.sleep(0.01)\nprint(os.nice(0))"
    assert completed(aws, program) == ["5"]


def test_instances_are_processes_that_know_each_other_and_share_the_keys(aws: Aws) -> None:
    for letter in "abcde":
        uri = aws.put(f"shards/{letter}.csv", letter).removesuffix(f"/{letter}.csv")
    inputs = [processing_input(uri, "all"), processing_input(uri, "part", S3DataDistributionType="ShardedByS3Key")]
    output = processing_output(f"s3://{aws.bucket}/answers/shards")
    job = aws.processed(PROGRAMS["instances"], count=2, inputs=inputs, ProcessingOutputConfig=output)
    assert job["ProcessingJobStatus"] == "Completed"
    everything, hosts = [f"{letter}.csv" for letter in "abcde"], ["algo-1", "algo-2"]
    assert [json.loads(aws.read(f"answers/shards/{host}.json")) for host in hosts] == [
        [host, hosts, "ml.m5.large", {"all": everything, "part": everything[number::2]}]
        for number, host in enumerate(hosts)
    ]
    name = job["ProcessingJobName"]
    assert aws.lines("ProcessingJobs", f"{name}/algo-2-") == [name]


def test_a_failing_instance_ends_the_others_and_uploads_nothing(aws: Aws) -> None:
    output = processing_output(f"s3://{aws.bucket}/answers/fails")
    job = aws.processed(PROGRAMS["failing instance"], count=2, ProcessingOutputConfig=output)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information, exit code: 9"
    assert job["ExitMessage"] == "row 7: " + "ä" * 508
    assert aws.keys("answers/fails") == []


def test_a_message_is_kept_on_success_and_must_be_text(aws: Aws) -> None:
    assert aws.processed("open('output/message', 'w').write('12 rows refused')")["ExitMessage"] == "12 rows refused"
    job = aws.processed(r"open('output/message', 'wb').write(b'\xff\xfe')")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: /opt/ml/output/message is not UTF-8 text"


def test_a_manifest_names_the_objects(aws: Aws) -> None:
    for name in ("a.csv", "sub/b.csv", "c.csv"):
        aws.put(f"manifest/data/{name}", name)
    text = json.dumps([{"prefix": f"s3://{aws.bucket}/manifest/data/"}, "a.csv", "sub/b.csv"])
    data = processing_input(aws.put("manifest/list.json", text), "data", S3DataType="ManifestFile")
    assert completed(aws, PROGRAMS["manifest"], inputs=[data]) == ["['a.csv', 'sub/b.csv']"]


def test_a_job_has_a_day_unless_it_says_otherwise(aws: Aws) -> None:
    program = "import json; print(json.load(open('/opt/ml/config/processingjobconfig.json'))['StoppingCondition'])"
    job = aws.processed(program)
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert aws.lines("ProcessingJobs", job["ProcessingJobName"]) == ["{'MaxRuntimeInSeconds': 86400}"]


def test_a_job_above_its_maximum_runtime_ends_stopped_with_all_its_processes(aws: Aws) -> None:
    job = aws.processed(PROGRAMS["children"], StoppingCondition={"MaxRuntimeInSeconds": 5})
    assert job["ProcessingJobStatus"] == "Stopped"
    (child,) = aws.lines("ProcessingJobs", job["ProcessingJobName"])
    assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE
