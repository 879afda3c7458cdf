"""State over a restart: one file with all that the services know, written as a whole by a copy of the process.

The copy (fork) sees one moment of all services, and requests do not wait for it. A change is in the file a second or
two later, on a busy machine some more, so that kill -9 loses those at most; a stop loses nothing.
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

from local_aws.processes import CloudError

FOLDER, FILE = "state", "state.json"
READY = b"ready\n"
PAUSE_SECONDS = 1.0
SHARE = 4
"""The pause is at least this many times as long as the writing took."""
SELDOM_SECONDS = 60.0
"""A change that no request made, as the end of a job that says nothing, is kept after this time."""
WRITE_SECONDS = 60
READS = ("Describe", "List", "Get", "BatchGet", "Search", "Query", "Scan", "Filter", "Lookup")
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
log = logging.getLogger(__name__)


class StateError(CloudError):
    """The state of a home folder cannot be read."""


class Saved(IntEnum):
    """What came of writing the file; the exit code of the copy that wrote it."""

    CHANGED, SAME, BUSY, FAILED = range(4)


def path(home: Path) -> Path:
    """The file of a home folder."""
    return home / FOLDER / FILE


def read(file: Path) -> str | None:
    """The text of a state file; nothing when there is none. Raises StateError when it is not whole."""
    try:
        text = file.read_text(encoding="utf-8")
        json.loads(text)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise unusable(file, f"it is damaged: {error}") from error
    return text


def unusable(file: Path, why: str) -> StateError:
    """The error of a file that does not say what the services knew."""
    return StateError(
        f"cannot use the state in {file}, {why}. `make up FRESH=1` or `local-aws start --fresh` forgets it"
    )


class Keeper:
    """Writes the file soon after each change.

    `collect` returns its text, or nothing while it may not be written; `written` is called once it is there. Both run
    in a copy of the process that has no threads, so they must take no lock.
    """

    def __init__(self, file: Path, collect: Callable[[], str | None], written: Callable[[], None]) -> None:
        self._file, self._collect, self._written = file, collect, written
        self._changed, self._closed = threading.Event(), threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def watch(self, application: Application) -> Application:
        """An application whose requests may change the state."""

        async def watched(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await application(scope, receive, send)
            if scope["type"] == "http" and not _reads(scope):
                self._changed.set()

        return watched

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write for the last time, if the writing has begun."""
        self._closed.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
            self._save()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._changed.wait(SELDOM_SECONDS)
            self._changed.clear()
            began = time.monotonic()
            if self._save() != Saved.SAME:
                self._changed.set()  # what it changed may go on changing
            self._closed.wait(max(PAUSE_SECONDS, SHARE * (time.monotonic() - began)))

    def _save(self) -> Saved:
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(self._write())
            finally:
                os._exit(Saved.FAILED)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        saved = Saved(code) if code in list(Saved) else Saved.FAILED
        if saved == Saved.FAILED and not self._failed:
            log.error("the state is not kept: its last one stays in %s", self._file)
        self._failed = saved == Saved.FAILED
        return saved

    def _write(self) -> Saved:
        """In the copy: no thread but this one, and what was locked stays so."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.alarm(WRITE_SECONDS)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # connections, and the lock that says "running"
        try:
            text = self._collect()
            if text is None:
                return Saved.BUSY
            with suppress(FileNotFoundError):
                if self._file.read_text(encoding="utf-8") == text:
                    return Saved.SAME
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            made = self._file.with_suffix(".new")
            with open(made, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
                output.write(text)
                output.flush()
                os.fsync(output.fileno())
            made.replace(self._file)
            self._written()
        except Exception as error:  # a full disk, or a dictionary that was changing
            os.write(2, f"state: {error!r}\n".encode())
            return Saved.FAILED
        return Saved.CHANGED


def _reads(scope: dict[str, Any]) -> bool:
    """Whether a request changes nothing that is kept in the file."""
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode("latin-1").rpartition(".")[2]
    return (
        scope["method"] in ("GET", "HEAD", "OPTIONS")
        or target.startswith(READS)
        or scope["path"].endswith("/invocations")
    )
