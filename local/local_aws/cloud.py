"""Starts and stops the local AWS.

One server process on 127.0.0.1; its files (log, pid, sandboxes of jobs, kept state) are in the home folder.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local_aws import beside, credentials, log_file, state
from local_aws.iam import Credentials
from local_aws.processes import STOP_SECONDS, CloudError, end, locked_by, of_command

ACCOUNT = "123456789012"
SOURCE = Path(__file__).resolve().parent.parent
START_SECONDS, CONNECT_SECONDS = 180.0, 5.0


@dataclass(frozen=True)
class Cloud:
    """A running local AWS."""

    pid: int
    port: int
    home: Path
    credentials: Credentials

    @property
    def endpoint_url(self) -> str:
        """What AWS_ENDPOINT_URL must say."""
        return f"http://127.0.0.1:{self.port}"

    def serves(self) -> bool:
        """Whether it takes connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), CONNECT_SECONDS):
            return True
        return False

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point boto3, the AWS CLI and the CDK here, and keep a person's own AWS settings out."""
        region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            **self.credentials.environment,
            "AWS_SESSION_TOKEN": "",  # a person's own would not fit these credentials
            **dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), region),
            "AWS_EC2_METADATA_DISABLED": "true",
            **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull),
            "AWS_PAGER": "",
        }


def find(home: Path) -> Cloud | None:
    """The local AWS that runs with this home folder, if there is one."""
    text = locked_by(home / "aws.pid")  # the server, then its reaper, hold it to the very end
    return Cloud(home=home, credentials=credentials.of_home(home), **json.loads(text)) if text else None


def clear(home: Path) -> Cloud | None:
    """The local AWS that serves with this home folder; of others what is left of them is gone when this returns.

    A server that was killed is gone at once, but its reaper may still end its children; one whose folder was deleted
    has no pid file. Raises CloudError when something stays.
    """
    cloud = find(home)
    if cloud is not None and cloud.serves():
        return cloud
    _await_end(home)
    for pid in of_command(["--home", str(home.resolve())], part=True):
        if pid in of_command(["-m", "local_aws.server"], part=True):
            end(pid)
    return None


def launch(
    port: int,
    home: Path,
    *,
    owned: bool = False,
    keep: bool = False,
    environment: Mapping[str, str] | None = None,
    progress: bool = False,
) -> tuple[Cloud, "subprocess.Popen[bytes]"]:
    """Start a server and return when it answers; port 0 takes a free one.

    `home` is the folder for its log, pid file and sandboxes. An `owned` server ends when this process closes the
    server's standard input, as it does at its own end. With `keep` it begins with the state that an earlier one of this
    home kept, and keeps its own. `environment` are settings (README.md, "Settings").

    Raises CloudError: another one runs in this home, the port is taken, the kept state cannot be read, or the server
    did not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    if (running_one := find(home)) is not None:
        raise CloudError(f"already running on {running_one.endpoint_url} (pid {running_one.pid}): stop it first")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise CloudError(f"port {port} on 127.0.0.1 is taken ({error.strerror}): choose another --port") from error
        listener.listen(128)
        port = listener.getsockname()[1]
        ready, done = os.pipe()
        command = [sys.executable, "-m", "local_aws.server", "--socket", str(listener.fileno()), "--ready", str(done)]
        with log_file.begin(home / "aws.log") as log:
            process = subprocess.Popen(
                [*command, "--home", str(home.resolve()), *["--owned"] * owned, *["--keep"] * keep],
                cwd=SOURCE,
                env=_server_environment(port, home, environment or {}),
                stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listener.fileno(), done),
                start_new_session=True,
                umask=0o077,
            )
    os.close(done)
    cloud = Cloud(process.pid, port, home, credentials.of_home(home))
    try:
        _await_ready(ready, cloud, progress)
    except BaseException:
        process.kill()
        process.communicate()  # closes its standard input, too
        with suppress(CloudError):
            _await_end(home)
        raise
    finally:
        os.close(ready)
    return cloud, process


def _server_environment(port: int, home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    scratch = home.resolve() / "tmp"
    scratch.mkdir(exist_ok=True)
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        **dict.fromkeys(("MINISTACK_REGION", "AWS_DEFAULT_REGION"), region),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "LAMBDA_ACCOUNT_CONCURRENCY": os.environ.get("LAMBDA_ACCOUNT_CONCURRENCY", str(8 * (os.cpu_count() or 1))),
        "TMPDIR": str(scratch),
        "S3_DATA_DIR": str(home.resolve() / "s3"),
        "S3_PERSIST": "1",
        "STATE_DIR": str(home.resolve() / "state"),
        # Listeners that nothing here uses, and a Docker daemon whose containers are none of our business.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        **extra,
    }


def _await_ready(ready: int, cloud: Cloud, progress: bool) -> None:
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        if progress:
            print(f"\rstarting the local AWS … {time.monotonic() - started:.0f} s", end="", file=sys.stderr, flush=True)
        if select.select([ready], [], [], 1.0)[0]:
            if progress:
                print(file=sys.stderr)
            if (told := os.read(ready, 1000)) == state.READY:
                return
            if told:
                raise CloudError(told.decode())
            break
    tail = "\n".join((cloud.home / "aws.log").read_text(errors="replace").splitlines()[-10:])
    raise CloudError(f"the local AWS did not come up; its log {cloud.home / 'aws.log'} ends with:\n{tail}")


def stop(home: Path) -> bool:
    """Stop the local AWS of this home and what runs beside it, and wait until every process of it is gone.

    Returns False when none was running.
    """
    beside.stop(home)
    cloud = find(home)
    if cloud is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # its reaper is still at work
            os.kill(cloud.pid, number)
        with suppress(CloudError):
            _await_end(home)
            return True
    raise CloudError(f"processes of {home} do not end; see {home / 'aws.log'}")


def _await_end(home: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while find(home) is not None:
        if time.monotonic() > deadline:
            raise CloudError(f"processes of {home} do not end; see {home / 'aws.log'}")
        time.sleep(0.02)


@contextmanager
def running(port: int = 0, home: Path | None = None, environment: Mapping[str, str] | None = None) -> Iterator[Cloud]:
    """A local AWS for the length of a `with` block; it also ends when this process dies."""
    with tempfile.TemporaryDirectory(prefix="local-aws-") as temporary:
        folder = home or Path(temporary)
        cloud, process = launch(port, folder, owned=True, environment=environment)
        try:
            yield cloud
        finally:
            stop(folder)
            process.communicate()
