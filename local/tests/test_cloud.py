"""Start and stop: no process is left, whatever ends the local AWS."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from local_aws.cloud import find, launch, running, stop
from local_aws.command import main
from local_aws.processes import CloudError
from local_aws.signed import request

from .aws import PROGRAMS, Aws, images, refused, unique, until

pytestmark = pytest.mark.cloud


def gone(processes: list[psutil.Process]) -> bool:
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Aws]:
    """A local AWS for one test."""
    with running(home=tmp_path / "home", environment={"SAGEMAKER_IMAGES": str(images(tmp_path))}) as cloud:
        yield Aws(cloud)


def busy(aws: Aws) -> list[psutil.Process]:
    """Start an endpoint, a job and a Lambda. Returns the server's child processes."""
    aws.endpoint("any", count=2)
    aws.train(action="hang", deaf="true")
    aws.client("lambda").invoke(FunctionName=aws.function("return event"), Payload=b"{}")
    # ProcessReaper, two model servers, the job, the Lambda worker.
    return until(lambda: psutil.Process(aws.cloud.pid).children(recursive=True), lambda found: len(found) >= 5)


@pytest.mark.drill("kill -9", "the local AWS with an endpoint, a job and a Lambda at work", "no process of it is left")
def test_kill_9_of_the_local_aws_leaves_no_child_running(own: Aws) -> None:
    children = busy(own)
    os.kill(own.cloud.pid, signal.SIGKILL)
    until(lambda: gone(children))
    until(lambda: find(own.cloud.home) is None)


def test_stopping_leaves_no_child_running_and_can_be_repeated(own: Aws) -> None:
    children = busy(own)
    assert stop(own.cloud.home) is True
    assert gone(children)
    assert stop(own.cloud.home) is False


def test_a_reset_ends_the_processes_and_deletes_the_state(own: Aws) -> None:
    name = own.endpoint("any")
    server = psutil.Process(int(own.invoke(name, "pid")))
    urllib.request.urlopen(request(own.cloud, "/_ministack/reset")).close()
    until(lambda: gone([server]))
    assert own.sagemaker.list_endpoints()["Endpoints"] == []
    missing = f"Endpoint {name} of account 123456789012 not found."
    assert refused(own.invoke, name, "1") == ("ValidationError", missing)


@pytest.mark.drill("kill -9", "the test process that owns a local AWS", "the local AWS ends")
def test_it_ends_when_the_process_that_owns_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAMS["owner"], str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
        until(lambda: gone([server]))


@pytest.mark.drill("Ctrl-C", "a local AWS in the foreground", "it stops, exit code 0")
def test_in_the_foreground_ctrl_c_stops_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local_aws", "start", "--foreground", "--port", "0", "--home", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("local AWS on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert find(tmp_path) is None


def test_the_commands_start_status_and_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path)]
    command = [sys.executable, "-m", "local_aws"]
    started = subprocess.run([*command, "start", "--port", "0", *home], capture_output=True, text=True, check=True)
    cloud = find(tmp_path)
    assert cloud is not None
    assert started.stdout == f"local AWS on {cloud.endpoint_url} (pid {cloud.pid}, log {tmp_path}/aws.log)\n"
    assert "starting the local AWS" in started.stderr
    assert main(["status", *home]) == 0
    assert capsys.readouterr().out == f"running on {cloud.endpoint_url} (pid {cloud.pid})\n"
    assert main(["start", "--port", "1", *home]) == 1
    assert f"already running on {cloud.endpoint_url} (pid {cloud.pid}): stop it first" in capsys.readouterr().err
    assert main(["start", "--port", str(cloud.port), *home]) == 0
    assert capsys.readouterr().out == started.stdout.replace("local AWS", "already running")
    assert find(tmp_path) == cloud
    assert main(["stop", *home]) == 0
    assert main(["status", *home]) == 3
    assert main(["stop", *home]) == 0
    assert capsys.readouterr().out == "stopped\nnot running\nnot running\n"


@pytest.mark.drill("start", "another process has the port", "one line that names the port and what to do")
def test_a_taken_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["start", "--port", str(port), "--home", str(tmp_path)]) == 1
    message = f"port {port} on 127.0.0.1 is taken (Address already in use): choose another --port\n"
    assert capsys.readouterr().err == message


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    reason = r"did not come up; its log .*(?s:.*)No such file or directory: 'nowhere.json'"
    with pytest.raises(CloudError, match=reason):
        launch(0, tmp_path, environment={"SAGEMAKER_IMAGES": "nowhere.json"})
    until(lambda: find(tmp_path) is None)


def test_a_server_that_does_not_come_up_leaves_no_file_open(tmp_path: Path) -> None:
    before = set(Path("/dev/fd").iterdir())
    with pytest.raises(CloudError):
        launch(0, tmp_path, owned=True, environment={"SAGEMAKER_IMAGES": "/nonexistent.json"})
    assert set(Path("/dev/fd").iterdir()) <= before


def test_a_request_signed_for_another_region_is_refused(aws: Aws) -> None:
    elsewhere = aws.client("sagemaker", region="eu-west-1")
    with pytest.raises(elsewhere.exceptions.ClientError, match=r"runs SageMaker in us-east-1 only; .* for eu-west-1"):
        elsewhere.describe_endpoint(EndpointName=unique("none"))
