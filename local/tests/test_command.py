"""The command line: a second command destroys nothing of the first, and a signal ends what a command started."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from local_aws.cloud import find, stop
from local_aws.command import main

from .aws import until

pytestmark = pytest.mark.cloud
COMMAND = [sys.executable, "-m", "local_aws"]
NAME_ITSELF = (
    "import os, sys; print(os.getpid(), *sys.argv[1:], flush=True); sys.stdin.close(); import time; time.sleep(600)"
)


def begin(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def start(home: Path, port: int = 0) -> str:
    """Start a local AWS as a person does; returns what that prints."""
    command = [*COMMAND, "start", "--port", str(port), "--home", str(home)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The home of a started local AWS."""
    folder = tmp_path / "home"
    start(folder)
    yield folder
    stop(folder)


def test_run_starts_one_of_its_own_and_stops_only_that(home: Path, tmp_path: Path) -> None:
    before = find(home)
    assert before is not None
    ask = ["sh", "-c", "echo $AWS_ENDPOINT_URL $CDK_DEFAULT_ACCOUNT; exit 7"]
    own = [*COMMAND, "run", "--home", str(tmp_path / "run"), "--", *ask]
    ran = subprocess.run(own, stdout=subprocess.PIPE, check=False)
    url, account = ran.stdout.decode().split()
    assert (ran.returncode, account) == (7, "123456789012")
    assert url.startswith("http://127.0.0.1:")
    assert url != before.endpoint_url
    assert find(tmp_path / "run") is None
    assert find(home) == before


@pytest.mark.drill("race", "a second `run` in the same home", "it says that it waits, and runs after the first")
def test_a_second_run_in_the_same_home_waits_for_the_first(tmp_path: Path) -> None:
    trace, release = tmp_path / "trace", tmp_path / "release"
    os.mkfifo(release)
    common = ("run", "--home", str(tmp_path / "run"), "--", "sh", "-c")
    with begin(*common, f"echo up; read line <{release}; echo first >>{trace}") as first:
        assert line(first) == "up"
        with begin(*common, f"echo second >>{trace}") as second:
            assert second.stderr is not None
            assert second.stderr.readline() == f"another command uses {tmp_path / 'run'}; waiting for its end …\n"
            release.write_text("go\n")
            assert (first.wait(60), second.wait(60)) == (0, 0)
    assert trace.read_text() == "first\nsecond\n"


@pytest.mark.drill(
    "Ctrl-C", "`run` while its command works (signal {id})", "its command, what that started and the local AWS end"
)
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(each, marks=pytest.mark.rotated) for each in (signal.SIGTERM, signal.SIGHUP))],
)
def test_a_signal_ends_what_the_command_started_and_the_local_aws(tmp_path: Path, number: int) -> None:
    with begin("run", "--home", str(tmp_path), "--", "sh", "-c", "sleep 600 & echo $!; wait") as process:
        sleeper, cloud = psutil.Process(int(line(process))), find(tmp_path)
        assert cloud is not None
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    until(lambda: not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE)
    assert not psutil.pid_exists(cloud.pid)


@pytest.mark.drill("start", "pid files that name another process", "that process is not touched and a start works")
def test_a_pid_file_of_an_earlier_server_names_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        for name in ("aws.pid", "console.pid"):
            (tmp_path / name).write_text(f'{{"pid": {other.pid}, "port": 1}}')
        assert find(tmp_path) is None
        assert stop(tmp_path) is False
        start(tmp_path)
        cloud = find(tmp_path)
        assert cloud is not None
        assert cloud.pid != other.pid
        assert stop(tmp_path) is True
        assert other.poll() is None
        other.kill()


@pytest.mark.drill(
    "kill -9", "the local AWS, then a start on the same port", "it starts; folders of Lambda's workers are swept"
)
def test_kill_9_then_a_start_just_works_and_sweeps_what_was_left(home: Path) -> None:
    cloud = find(home)
    assert cloud is not None
    left = home / "tmp" / "ministack-lambda-left"
    left.mkdir()
    os.kill(cloud.pid, signal.SIGKILL)
    start(home, cloud.port)
    again = find(home)
    assert again is not None
    assert (again.port, again.pid == cloud.pid, left.exists()) == (cloud.port, False, False)


@pytest.mark.drill(
    "start", "the pid file is deleted while the local AWS runs", "a start finds the old one and takes its place"
)
def test_a_server_whose_folder_was_deleted_is_found_and_replaced(home: Path) -> None:
    cloud = find(home)
    assert cloud is not None
    (home / "aws.pid").unlink()
    start(home, cloud.port)
    assert not psutil.pid_exists(cloud.pid)
    assert find(home) is not None


@pytest.mark.drill(
    "start",
    "an orphaned console, with and without its pid file",
    "it is found and replaced, and ends with the local AWS",
)
def test_a_program_beside_is_replaced_even_without_its_file_and_ends_with_the_local_aws(home: Path) -> None:
    beside = [*COMMAND, "beside", "console", "--home", str(home), "--", sys.executable, "-c", NAME_ITSELF, str(home)]
    pids = []
    for again in range(3):
        if again == 2:
            (home / "console.pid").unlink()
        pid, name = subprocess.run(beside, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        assert name == str(home)
        pids.append(int(pid))
        assert [psutil.pid_exists(each) for each in pids] == [*[False] * again, True]
    stop(home)
    assert not psutil.pid_exists(pids[-1])


def test_a_program_beside_that_fails_shows_its_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["beside", "console", "--home", str(home), "--", "/bin/sh", "-c", "printf 'no port'; exit 3"]) == 1
    assert capsys.readouterr().err == "no port\n"


def test_env_prints_the_exports_of_the_one_that_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = find(home)
    assert cloud is not None
    assert main(["env", "--home", str(home)]) == 0
    ask = f"{printed(capsys)}\necho $AWS_ENDPOINT_URL $AWS_REGION $CDK_DEFAULT_REGION $CDK_DEFAULT_ACCOUNT"
    theirs = {**os.environ, "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "theirs"}
    use = f'"{sys.executable}" -c \'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])\''
    told = subprocess.run(["sh", "-c", f"{ask}\n{use}"], env=theirs, capture_output=True, text=True, check=True).stdout
    root = "arn:aws:iam::123456789012:root"
    assert told == f"{cloud.endpoint_url} us-east-1 us-east-1 123456789012\n{root}\n"
    ran = [*COMMAND, "exec", "--home", str(home), "--", "sh", "-c", use]
    assert subprocess.run(ran, env=theirs, capture_output=True, text=True, check=True).stdout == f"{root}\n"


def test_env_and_exec_without_a_local_aws_say_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["env"], ["exec", "--", "true"], ["beside", "console", "--", "true"]):
        assert main(["--home", str(tmp_path), *command]) == 1
        assert capsys.readouterr().err == (
            f"no local AWS runs in {tmp_path}: `make up` or `local-aws start` starts one\n"
        )


@pytest.mark.drill("race", "ten starts at once", "one starts, nine say that it runs")
def test_ten_starts_at_once_leave_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    starts = [begin("start", "--port", str(port), "--home", str(tmp_path)) for _ in range(10)]
    told = [each.communicate(timeout=100)[0] for each in starts]
    cloud = find(tmp_path)
    assert cloud is not None
    where = f"on {cloud.endpoint_url} (pid {cloud.pid}, log {tmp_path / 'aws.log'})\n"
    assert sorted(told) == [*[f"already running {where}"] * 9, f"local AWS {where}"]
    stop(tmp_path)
