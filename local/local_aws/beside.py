"""Programs that run beside the local AWS of a home folder, each by its name, and end with it.

A program holds a lock on `<home>/<name>.pid` as long as it runs, so that a file of an earlier one names no process.
"""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

from local_aws.processes import CloudError, end, locked_by, of_command

START_SECONDS = 30.0


def start(home: Path, name: str, command: list[str], environment: dict[str, str]) -> str:
    """Start a program in place of the one of this name, and return the first line that it prints.

    `environment` is all that it has. An earlier one whose file is gone is found by its command line. Raises CloudError
    when it ends without a line.
    """
    stop(home, name)
    command = [str(Path(command[0]).absolute()), *command[1:]]
    for pid in of_command(command):
        end(pid)
    log = home / f"{name}.log"
    descriptor = os.open(home / f"{name}.pid", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(descriptor,),  # its copy holds the lock to the program's end
                start_new_session=True,
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(process.pid).encode())
    finally:
        os.close(descriptor)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        over = process.poll() is not None
        text = log.read_text(errors="replace")
        if over:
            raise CloudError(text.strip() or f"{name} ended with exit code {process.returncode}")
        if "\n" in text:
            return text.partition("\n")[0] + "\n"
        time.sleep(0.02)
    raise CloudError(f"{name} does not start; see {log}")


def stop(home: Path, name: str = "*") -> None:
    """End the program of this name, or all of this home, and wait for its end."""
    for file in home.glob(f"{name}.pid"):
        if file.name != "aws.pid" and (pid := locked_by(file)):
            end(int(pid), signal.SIGTERM)
