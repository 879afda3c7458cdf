"""The command line: start, stop and use a local AWS.

start, stop, status       of the local AWS of a home folder
env                       print the exports that point a shell to it
exec -- COMMAND           run a command against it; a signal ends all of the command's processes
beside NAME -- COMMAND    start a program beside it, in place of the one of this name; it ends with `stop`
run -- COMMAND            start one on a free port, run a command against it, and stop it
"""

import argparse
import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from local_aws import beside, state
from local_aws.cloud import ACCOUNT, Cloud, clear, find, launch, running, stop
from local_aws.process_reaper import signal_group
from local_aws.processes import CloudError

PORT, GRACE_SECONDS = 4566, 10.0
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""Variables that would hide the credentials."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """A signal asks this process to end; its number is the argument."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="local-aws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["start", "stop", "status", "env", "exec", "beside", "run"])
    parser.add_argument("name", nargs="?", default="", help="of the program beside")
    parser.add_argument("--port", type=int, help=f"0 takes a free one; default {PORT}, of `run` 0")
    parser.add_argument("--home", type=Path, default=Path("build/aws"))
    parser.add_argument("--foreground", action="store_true", help="`start` stays until Ctrl-C")
    parser.add_argument("--fresh", action="store_true", help="`start` begins without the state of the last one")
    own, more = _split(sys.argv[1:] if arguments is None else arguments)
    chosen = parser.parse_args(own)
    try:
        with _raised():
            return _perform(chosen, more)
    except CloudError as error:
        print(error, file=sys.stderr)
        return 1
    except Ended as ended:
        return 128 + int(ended.args[0])


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What comes before and after `--`."""
    place = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:place]), list(arguments[place + 1 :])


def _perform(chosen: argparse.Namespace, more: list[str]) -> int:
    if chosen.command == "start":
        return _start(chosen.port, chosen.home, foreground=chosen.foreground, fresh=chosen.fresh)
    if chosen.command == "run":
        return _run(chosen.port or 0, chosen.home, more)
    if chosen.command == "stop":
        print("stopped" if stop(chosen.home) else "not running")
        return 0
    cloud = find(chosen.home)
    if chosen.command == "status":
        print(f"running on {cloud.endpoint_url} (pid {cloud.pid})" if cloud else "not running")
        return 0 if cloud else 3
    if cloud is None:
        raise CloudError(f"no local AWS runs in {chosen.home}: `make up` or `local-aws start` starts one")
    return _use(cloud, chosen.command, chosen.name, more)


def _use(cloud: Cloud, command: str, name: str, more: list[str]) -> int:
    if command == "exec":
        with _turn(cloud.home):
            return _command(more, cloud)
    if command == "beside":
        print(beside.start(cloud.home, name, more, _inherited() | environment(cloud)), end="")
    else:
        print("unset", *PROFILES)
        for variable, value in environment(cloud).items():
            print(f"export {variable}={shlex.quote(value)}")
    return 0


def environment(cloud: Cloud) -> dict[str, str]:
    """The variables of a shell that uses a local AWS, with those that the CDK reads."""
    own = cloud.environment
    return {**own, "CDK_DEFAULT_REGION": own["AWS_REGION"], "CDK_DEFAULT_ACCOUNT": ACCOUNT}


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PROFILES}


def _start(port: int | None, home: Path, *, foreground: bool, fresh: bool) -> int:
    with _turn(home):
        if (cloud := clear(home)) is not None and not (foreground or fresh) and port in (None, 0, cloud.port):
            print(f"already running on {cloud.endpoint_url} (pid {cloud.pid}, log {cloud.home / 'aws.log'})")
            return 0
        if fresh and cloud is not None:
            raise CloudError(f"a local AWS runs in {home}: stop it first; then it can start fresh")
        if fresh:
            state.path(home).unlink(missing_ok=True)
        try:
            cloud, process = launch(PORT if port is None else port, home, owned=foreground, keep=True, progress=True)
        except Ended:
            stop(home)
            raise
    started = f"local AWS on {cloud.endpoint_url} (pid {cloud.pid}, log {cloud.home / 'aws.log'})"
    if not foreground:
        print(started)
        return 0
    try:
        print(started, flush=True)  # who reads it may send Ctrl-C at once
        return process.wait()
    except Ended:
        stop(home)
        return 0


def _run(port: int, home: Path, command: list[str]) -> int:
    with _turn(home), running(port, home) as cloud:
        return _command(command, cloud)


@contextmanager
def _turn(home: Path) -> Iterator[None]:
    """Wait until no other command starts, deploys to or runs on the local AWS of this home."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "turn.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another command uses {home}; waiting for its end …", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _command(command: list[str], cloud: Cloud) -> int:
    """Run a command in a process group of its own; a signal to us ends the whole group."""
    variables = {**_inherited(), **environment(cloud), "LOCAL_AWS_HOME": str(cloud.home.resolve())}
    process = None
    try:
        with _deferred():  # a signal could come between the command's start and its pid
            process = subprocess.Popen(command, env=variables, start_new_session=True)
        return process.wait()
    except OSError as error:
        raise CloudError(f"{command[0] if command else 'no command'}: {error.strerror}") from error
    except Ended:
        if process is None:
            raise
        signal_group(process.pid, signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        finally:
            signal_group(process.pid, signal.SIGKILL)
        raise


@contextmanager
def _deferred() -> Iterator[None]:
    """Hold back the signals that end us until the block has ended."""
    came: list[int] = []
    heard = [number for number in ENDING if callable(signal.getsignal(number))]
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)


@contextmanager
def _raised() -> Iterator[None]:
    """Raise Ended at a signal; a shell starts background jobs with SIGINT ignored."""

    def end(number: int, _: FrameType | None) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)  # once: what it ends is on its way
        raise Ended(number)

    heard = [number for number in ENDING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}  # nohup's choice stays
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
