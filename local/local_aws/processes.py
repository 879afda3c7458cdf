"""Processes of this machine: who holds a pid file, who runs a command, and their end."""

import fcntl
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 15.0


class CloudError(Exception):
    """The local AWS could not be started, used or stopped; the message says what to do."""


def locked_by(file: Path) -> str:
    """The text of a pid file while a process holds its lock, else nothing: it names a process that is gone."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return os.read(descriptor, 1000).decode()
    finally:
        os.close(descriptor)


def of_command(command: list[str], *, part: bool = False) -> list[int]:
    """The processes of this user with this command line, or with this part of one; not this process."""
    listed = subprocess.run(
        ["ps", "-U", str(os.getuid()), "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    wanted, found = " ".join(command), []
    for line in listed.stdout.splitlines():
        pid, _, shown = line.strip().partition(" ")
        if (f" {wanted} " in f" {shown.strip()} " if part else shown.strip() == wanted) and int(pid) != os.getpid():
            found.append(int(pid))
    return found


def end(pid: int, first: int = signal.SIGTERM) -> None:
    """End a process by a signal, else by SIGKILL, and wait until it is gone. Raises CloudError when it stays."""
    for number in (first, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            while time.monotonic() < deadline:
                with suppress(ChildProcessError):  # a child of this process stays until it is waited for
                    os.waitpid(pid, os.WNOHANG)
                os.kill(pid, 0)
                time.sleep(0.02)
            continue
        return
    raise CloudError(f"process {pid} does not end")
