"""Commands that are ended in the middle, on a local AWS: what they were part of goes on, or is gone as a whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from local_aws.cloud import Cloud, find, running, stop

from tests.conftest import alive, wait_for

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(300)]
COMMAND = [sys.executable, "-m", "local_aws"]
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
Record = Callable[[str, object], None]


def begin(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def started(home: Path) -> Cloud:
    """The local AWS that `start` leaves."""
    subprocess.run([*COMMAND, "start", "--port", "0", "--home", str(home)], capture_output=True, check=True)
    cloud = find(home)
    assert cloud is not None
    return cloud


def client(cloud: Cloud, service: str) -> Any:
    own = cloud.credentials
    session = boto3.Session(own.key, own.secret, region_name="us-east-1")
    return session.client(service, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(tmp_path)


@pytest.fixture(scope="module")
def shared() -> Iterator[Cloud]:
    with running() as cloud:
        yield cloud


STARTING = {
    signal.SIGINT: ("Ctrl-C", "`start` while it starts", "nothing of it is left, and the next start works"),
    signal.SIGKILL: ("kill -9", "`start` while it starts", "the next start works, and one runs"),
}


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=pytest.mark.drill(*texts)) for number, texts in STARTING.items()]
)
def test_a_start_that_is_ended(home: Path, number: signal.Signals, record_property: Record) -> None:
    with begin("start", "--port", "0", "--home", home) as start:
        wait_for((home / "aws.pid").exists)
        start.send_signal(number)
        code = start.wait(60)
    left = find(home) is not None
    cloud = started(home)
    assert client(cloud, "s3").list_buckets()["Buckets"] == []
    servers = [each for each in psutil.process_iter(["cmdline"]) if "local_aws.server" in (each.info["cmdline"] or [])]
    assert len([each for each in servers if str(home) in each.info["cmdline"]]) == 1
    if number == signal.SIGINT:
        assert (code, left) == (130, False)
        record_property("happened", "exit code 130, no process left; the next start works")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            signal.SIGINT,
            marks=pytest.mark.drill(
                "Ctrl-C", "`exec` while its command works", "the command ends, the local AWS stays"
            ),
        ),
        pytest.param(
            signal.SIGKILL,
            marks=pytest.mark.drill(
                "kill -9", "`exec` while its command works", "the local AWS stays, and the next command does not wait"
            ),
        ),
    ],
)
def test_an_exec_that_is_ended(home: Path, number: signal.Signals, record_property: Record) -> None:
    cloud = started(home)
    with begin("exec", "--home", home, "--", sys.executable, "-c", SLEEPS) as command:
        child = psutil.Process(int(line(command)))
        command.send_signal(number)
        code = command.wait(60)
    if number == signal.SIGINT:
        wait_for(lambda: not alive(child))
    else:
        child.kill()
    with begin("exec", "--home", home, "--", "echo", "next") as following:
        assert following.communicate(timeout=60) == ("next\n", "")
    assert (code, find(home)) == (130 if number == signal.SIGINT else -9, cloud)
    record_property("happened", f"exit code {code}; the same local AWS runs, the next command ran at once")


@pytest.mark.drill(
    "kill -9", "`run` while its command works", "its local AWS ends, and the next `run` in that home works"
)
def test_a_run_that_is_killed(home: Path) -> None:
    with begin("run", "--home", home, "--", sys.executable, "-c", SLEEPS) as command:
        child = psutil.Process(int(line(command)))
        command.kill()
    wait_for(lambda: find(home) is None)
    child.kill()
    with begin("run", "--home", home, "--", "echo", "next") as following:
        assert following.communicate(timeout=100)[0] == "next\n"


@pytest.mark.drill("kill -9", "the program beside the local AWS (the console)", "the next `beside` starts it again")
def test_a_program_beside_that_is_killed(home: Path) -> None:
    started(home)
    pids = []
    for _ in range(2):
        beside = [*COMMAND, "beside", "console", "--home", str(home), "--", sys.executable, "-c", SLEEPS]
        pids.append(int(subprocess.run(beside, stdout=subprocess.PIPE, text=True, check=True).stdout))
        os.kill(pids[-1], signal.SIGKILL) if len(pids) == 1 else None
    assert [psutil.pid_exists(pid) and alive(psutil.Process(pid)) for pid in pids] == [False, True]


@pytest.mark.drill(
    "Ctrl-C", "two stops at once, one of them interrupted", "the local AWS stops, and no process is left"
)
def test_a_stop_that_is_interrupted(home: Path) -> None:
    server = psutil.Process(started(home).pid)
    with begin("stop", "--home", home) as first, begin("stop", "--home", home) as second:
        first.send_signal(signal.SIGINT)
        first.wait(60)
        assert second.wait(60) == 0
    wait_for(lambda: not alive(server))
    assert find(home) is None


@pytest.mark.drill("race", "ten writers of one key in S3 at once", "the object is one of the ten, whole")
def test_ten_writers_of_one_key(shared: Cloud) -> None:
    s3 = client(shared, "s3")
    s3.create_bucket(Bucket="raced")
    bodies = [bytes([65 + number]) * 300_000 for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda body: s3.put_object(Bucket="raced", Key="one", Body=body), bodies))
    found = s3.get_object(Bucket="raced", Key="one")
    body = found["Body"].read()
    assert body in bodies
    assert found["ContentLength"] == len(body)


@pytest.mark.drill("race", "ten model package versions at once", "ten versions, 1 to 10")
def test_ten_versions_at_once(shared: Cloud) -> None:
    sagemaker = client(shared, "sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="raced")

    def register(_: int) -> str:
        return str(sagemaker.create_model_package(ModelPackageGroupName="raced", SourceUri="any")["ModelPackageArn"])

    with ThreadPoolExecutor(10) as pool:
        versions = sorted(int(arn.rpartition("/")[2]) for arn in pool.map(register, range(10)))
    assert versions == list(range(1, 11))


@pytest.mark.drill("race", "ten executions of one name and other inputs at once", "one starts, nine are refused")
def test_ten_executions_of_one_name(shared: Cloud) -> None:
    states, iam = client(shared, "stepfunctions"), client(shared, "iam")
    trust = '{"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}]}'
    role = iam.create_role(RoleName="raced", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    definition = '{"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}}'
    machine = states.create_state_machine(name="raced", definition=definition, roleArn=role)["stateMachineArn"]

    def start(number: int) -> str:
        try:
            states.start_execution(stateMachineArn=machine, name="one", input=str(number))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "started"

    with ThreadPoolExecutor(10) as pool:
        outcomes = sorted(pool.map(start, range(10)))
    assert outcomes == [*["ExecutionAlreadyExists"] * 9, "started"]
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 1


KEYS = ["raw//x", "raw/with\nnewline", "raw/x.csv", "raw/x.csv/y", "raw/..", "raw/ä ö+%20", "raw/.tmp", "r" * 1024]


@pytest.mark.drill(
    "input",
    "odd keys in S3: //, a newline, a key below a key, .., 1,024 bytes",
    "each is an object of its own, listed and read as it was written",
)
def test_odd_keys(shared: Cloud, record_property: Record) -> None:
    s3 = client(shared, "s3")
    s3.create_bucket(Bucket="odd")
    for key in KEYS:
        s3.put_object(Bucket="odd", Key=key, Body=key.encode())
    listed = [each["Key"] for each in s3.list_objects_v2(Bucket="odd")["Contents"]]
    assert listed == sorted(KEYS, key=str.encode)
    assert [s3.get_object(Bucket="odd", Key=key)["Body"].read().decode() for key in KEYS] == KEYS
    record_property("happened", f"all {len(KEYS)} are listed and read as they were written")
