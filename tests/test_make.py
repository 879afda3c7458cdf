"""`make run` and `make up` as a person uses them: one destroys nothing of the other, and a signal ends what they did."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from local_aws import state
from local_aws.cloud import find, stop

from tests.conftest import ROOT, WDBC, alive, wait_for

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
INSTALLED = ["-o", "install", "-o", ".venv/.installed"]
"""Targets that count as made: the test runs in the environment that they would make."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    command = ["make", *INSTALLED, f"LOCAL_HOME={home / 'up'}", f"RUN_HOME={home / 'run'}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True)


def made(home: Path, *arguments: str) -> str:
    """What a target prints; it must succeed."""
    with make(home, *arguments) as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    return told


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(tmp_path / "up")


def below(folder: Path) -> list[psutil.Process]:
    """The processes whose command line names this folder, or that the local AWS there started."""
    return [each for each in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(each.info["cmdline"] or [])]


@pytest.mark.drill(
    "kill -9",
    "the local AWS of `make up`, beside a `make run`",
    "`make run` leaves it alone; another `make up` repairs it, with the same console",
)
def test_a_run_beside_an_up_leaves_it_alone_and_kill_9_is_repaired_by_another_up(home: Path) -> None:
    port = free_port()
    told = made(home, "up", f"PORT={port}")
    assert f'eval "$(make -s env PORT={port})"' in told
    console = re.findall(r"console: (\S+)", told)
    assert made(home, "run").splitlines()[-1] == "prediction: B"
    cloud = find(home / "up")
    assert cloud is not None
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n" in made(home, "-s", "env")
    os.kill(cloud.pid, signal.SIGKILL)
    assert re.findall(r"console: (\S+)", made(home, "up", f"PORT={port}")) == console
    made(home, "down")
    assert below(home) == []


def ops(home: Path, *arguments: str) -> str:
    """What a command of ops prints, in the environment of the local AWS of `make up`."""
    command = ["-m", "local_aws", "exec", "--home", str(home / "up"), "--", sys.executable, "-m", "ops", *arguments]
    return subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.drill(
    "kill -9",
    "the local AWS of `make up` in mid-run, and a `make down`",
    "after `make up` the model answers B without a retraining, and the next run finds the lease free",
)
@pytest.mark.timeout(1200)
def test_after_kill_9_in_mid_run_and_after_down_the_model_serves_without_a_retraining(home: Path) -> None:
    up = ("up", f"PORT={free_port()}")
    made(home, *up)
    ops(home, "upload", str(WDBC))
    ops(home, "watch")
    live = ops(home, "predict"), json.loads(ops(home, "runs", "--json"))
    assert live[0] == "prediction: B\n"

    ops(home, "retrain", "--force")
    wait_for(lambda: '"status": "RUNNING"' in state.path(home / "up").read_text(), 300)
    cloud = find(home / "up")
    assert cloud is not None
    os.kill(cloud.pid, signal.SIGKILL)
    made(home, *up)
    newest, *others = json.loads(ops(home, "runs", "--json"))
    ended = "LocalAws.Ended: The local AWS ended while this execution ran."
    assert (newest["status"], newest["outcome"]) == ("ABORTED", ended)
    assert (ops(home, "predict"), others) == live
    ops(home, "retrain", "--force")
    assert "succeeded: accepted" in ops(home, "watch")  # the lease was free

    before = ops(home, "status"), ops(home, "runs", "--json"), ops(home, "data", "list")
    made(home, "down")
    made(home, *up)
    assert (ops(home, "status"), ops(home, "runs", "--json"), ops(home, "data", "list")) == before
    assert ops(home, "predict") == "prediction: B\n"


@pytest.mark.drill("Ctrl-C", "SIGTERM to `make run` while it deploys", "all its processes end")
def test_sigterm_to_make_ends_all_that_it_started(home: Path) -> None:
    with make(home, "run") as process:
        assert process.stdout is not None
        while "deploying" not in process.stdout.readline():
            continue
        cdk = wait_for(lambda: [each for each in psutil.process_iter(["cmdline"]) if is_of(each, home / "run")])
        process.terminate()
        assert process.wait(60) != 0
    wait_for(lambda: not any(map(alive, cdk)))
    assert below(home) == []


def is_of(process: psutil.Process, home: Path) -> bool:
    """Whether a process has the environment of a command against the local AWS of this home."""
    try:
        return process.environ().get("LOCAL_AWS_HOME") == str(home)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
