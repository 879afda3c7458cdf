"""One running container: a process in a sandbox, whose output goes to CloudWatch Logs."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from local_aws.process_reaper import signal_group
from local_aws.sagemaker.host import Host

MAX_LINE = 1 << 20
NICENESS = 5
"""Of 19. Linux applies it within a session and, by autogroups, between sessions."""


class Container:
    """A container, started on construction in `root`, which stands for /opt/ml.

    `environment` is all of its environment, `log` its log group and stream. A job's container `gives_way` to requests:
    in AWS it has a machine of its own, here it shares the endpoint's. `on_line` is called with each line, `on_end`
    after the last.
    """

    def __init__(
        self,
        host: Host,
        command: list[str],
        root: Path,
        environment: dict[str, str],
        log: tuple[str, str],
        *,
        gives_way: bool,
        on_line: Callable[[str], None] | None = None,
        on_end: Callable[["Container"], None] | None = None,
    ) -> None:
        self._host = host
        self._log = log
        self._on_line = on_line
        self._on_end = on_end
        self.root = root
        self.ended = threading.Event()
        command, environment = host.sandboxes.entered(command, environment, root)
        self._process = host.reaper.spawn(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        host.cores.give(self._process.pid)
        if gives_way:
            self._give_way()
        self._pump = threading.Thread(target=self._pump_lines, daemon=True)
        self._pump.start()
        threading.Thread(target=self._await_end, daemon=True).start()

    @property
    def exit_code(self) -> int:
        """As a container runtime reports it: 128 + n for an end by signal n. Only after `ended`."""
        code = self._process.returncode
        return 128 - code if code < 0 else code

    def memory_bytes(self) -> int:
        """The resident memory of its program; 0 once it has ended, and where there is no /proc (macOS)."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to the program, SIGKILL to its group when the grace is over; returns when it has ended."""
        self._process.terminate()
        if not self.ended.wait(grace_seconds):
            self.kill()
            self.ended.wait()

    def kill(self) -> None:
        """SIGKILL to the whole group, at once."""
        if not self.ended.is_set():
            signal_group(self._process.pid, signal.SIGKILL)  # its group has its number

    def _give_way(self) -> None:
        with suppress(OSError):  # it has ended, or the system has no autogroups
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)  # of threads to come, too
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(NICENESS), encoding="ascii")

    def _pump_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in iter(lambda: output.readline(MAX_LINE), b""):
                line = self._host.sandboxes.shown(raw.decode("utf-8", "replace"))
                self._host.logs.write(*self._log, line)
                if self._on_line:
                    self._on_line(line)

    def _await_end(self) -> None:
        self._host.reaper.reap(self._process)
        self._pump.join()
        self.ended.set()
        if self._on_end:
            self._on_end(self)


def cause_of_exit(code: int) -> str:
    """What a FailureReason says of an exit code; AWS gives the number alone."""
    killed = f" (killed by {signal.Signals(code - 128).name})" if code - 128 in set(signal.Signals) else ""
    return f"AlgorithmError: See job logs for more information, exit code: {code}{killed}"
