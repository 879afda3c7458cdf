"""Starting and stopping: nothing is left behind, whatever ends the local AWS."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3
import psutil
import pytest
from local_aws.cloud import CloudError, find, launch, main, running, stop

from .aws import Aws, images, unique, until

pytestmark = pytest.mark.cloud


def family(pid: int) -> list[psutil.Process]:
    """All processes that descend from this one, found before it dies."""
    return list(psutil.Process(pid).children(recursive=True))


def gone(processes: list[psutil.Process]) -> bool:
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


def busy(aws: Aws) -> list[psutil.Process]:
    """Start a job, an endpoint and a Lambda worker; the server's children then."""
    aws.endpoint("any", count=2)
    aws.train(action="hang", deaf="true")
    aws.client("lambda").invoke(FunctionName=aws.function("return event"), Payload=b"{}")
    # ProcessReaper, two model servers, the job, the Lambda worker.
    return until(lambda: children if len(children := family(aws.cloud.pid)) >= 5 else None)


def test_kill_9_of_the_local_aws_leaves_no_child_running(tmp_path: Path) -> None:
    with running(home=tmp_path / "home", environment={"SAGEMAKER_IMAGES": str(images(tmp_path))}) as cloud:
        children = busy(Aws(cloud))
        os.kill(cloud.pid, signal.SIGKILL)
        until(lambda: gone(children) or None, seconds=5)
        until(lambda: find(cloud.home) is None or None, seconds=5)


def test_stopping_leaves_no_child_running_and_can_be_repeated(tmp_path: Path) -> None:
    with running(home=tmp_path / "home", environment={"SAGEMAKER_IMAGES": str(images(tmp_path))}) as cloud:
        children = busy(Aws(cloud))
        assert stop(cloud.home) is True
        assert gone(children)
        assert stop(cloud.home) is False


def test_it_ends_when_the_process_that_owns_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from local_aws.cloud import running\n"
        "with running(home=pathlib.Path(sys.argv[1])) as cloud: print(cloud.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
        until(lambda: gone([server]) or None, seconds=10)


def test_in_the_foreground_ctrl_c_stops_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local_aws", "start", "--foreground", "--port", "0", "--home", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("local AWS on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert find(tmp_path) is None


def test_the_commands_start_tell_and_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path)]
    command = [sys.executable, "-m", "local_aws"]
    started = subprocess.run([*command, "start", "--port", "0", *home], capture_output=True, text=True, check=True)
    cloud = find(tmp_path)
    assert cloud is not None
    assert started.stdout == f"local AWS on {cloud.endpoint_url} (pid {cloud.pid}, log {tmp_path}/aws.log)\n"
    assert "starting the local AWS" in started.stderr
    assert main(["status", *home]) == 0
    assert capsys.readouterr().out == f"running on {cloud.endpoint_url} (pid {cloud.pid})\n"
    assert main(["start", "--port", "0", *home]) == 1
    assert f"already running on {cloud.endpoint_url} (pid {cloud.pid}): stop it first" in capsys.readouterr().err
    assert main(["stop", *home]) == 0
    assert main(["status", *home]) == 3
    assert main(["stop", *home]) == 0
    assert capsys.readouterr().out == "stopped\nnot running\nnot running\n"


def test_a_taken_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["start", "--port", str(port), "--home", str(tmp_path)]) == 1
    message = f"port {port} on 127.0.0.1 is taken (Address already in use): choose another --port\n"
    assert capsys.readouterr().err == message


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(
        CloudError, match=r"did not come up; its log .*(?s:.*)No such file or directory: 'nowhere.json'"
    ):
        launch(0, tmp_path, environment={"SAGEMAKER_IMAGES": "nowhere.json"})
    until(lambda: find(tmp_path) is None or None)


def test_a_reset_ends_what_runs_and_forgets_it(tmp_path: Path) -> None:
    with running(home=tmp_path / "home", environment={"SAGEMAKER_IMAGES": str(images(tmp_path))}) as cloud:
        aws = Aws(cloud)
        name = aws.endpoint("any")
        (server,) = [child for child in family(cloud.pid) if "stub_container.py" in " ".join(child.cmdline())]
        reset = urllib.request.Request(f"{cloud.endpoint_url}/_ministack/reset", method="POST")
        urllib.request.urlopen(reset).close()
        until(lambda: gone([server]) or None)
        assert aws.sagemaker.list_endpoints()["Endpoints"] == []
        with pytest.raises(
            aws.runtime.exceptions.ValidationError, match=f"Endpoint {name} of account 123456789012 not"
        ):
            aws.invoke(name, "1")


def test_a_request_signed_for_another_region_is_refused(aws: Aws) -> None:
    elsewhere = boto3.client(
        "sagemaker",
        endpoint_url=aws.cloud.endpoint_url,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with pytest.raises(elsewhere.exceptions.ClientError, match=r"runs SageMaker in us-east-1 only; .* for eu-west-1"):
        elsewhere.describe_endpoint(EndpointName=unique("none"))
