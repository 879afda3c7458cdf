"""Ends every child of the local AWS once the local AWS is gone, even by kill -9.

The server starts one reaper and alone holds the write end of its standard input. Each child runs in a process group
of its own, whose number the server sends to the reaper. At the server's end, whatever its cause, the kernel closes the
pipe. The reaper reads the end of file and kills the groups that it received and the server's own group, that of
ministack's Lambda workers. Unlike Linux's parent-death signal this works on macOS too.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

REAP_SECONDS = 1.0


class ProcessReaper:
    """The server's side: starts children that cannot outlive it.

    The reaper keeps `held_files` open until it ends; one is the lock that says "running".
    """

    def __init__(self, held_files: tuple[int, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpgrp())],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=held_files,
        )

    def spawn(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a child in a process group of its own. Raises OSError when the program cannot be started."""
        process: subprocess.Popen[bytes] = subprocess.Popen(command, start_new_session=True, **options)
        try:
            self._send("+", process.pid)
        except OSError:  # without a reaper no child may start
            process.kill()
            raise
        return process

    def reap(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for a child's end, kill what it left behind in its group, and return its exit code."""
        code = process.wait()
        signal_group(process.pid, signal.SIGKILL)
        self._send("-", process.pid)
        return code

    def _send(self, sign: str, group: int) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(f"{sign}{group}\n".encode())
            self._process.stdin.flush()


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when no process of ours is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def main() -> None:
    """The reaper's side: `reaper.py <process group of the server>`, fed with lines `+<group>` and `-<group>`."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    signal_group(int(sys.argv[1]), signal.SIGKILL)  # its end is not awaited: the server may stay a zombie of its parent
    deadline = time.monotonic() + REAP_SECONDS
    while (groups := {each for each in groups if signal_group(each, signal.SIGKILL)}) and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    main()
