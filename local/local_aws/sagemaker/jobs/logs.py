"""Lines of containers on their way to CloudWatch Logs."""

import logging
import queue
import threading
import time
from itertools import groupby
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

MAX_EVENT = 250_000  # PutLogEvents takes 256 KiB an event, 1 MiB and 10,000 events a call
MAX_BATCH = 800_000
GATHER_SECONDS = 0.1

log = logging.getLogger(__name__)


class LogWriter:
    """One thread that writes what all containers say, in order.

    Args:
        client: A botocore client of CloudWatch Logs.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: set[tuple[str, str]] = set()
        self._queue: queue.SimpleQueue[tuple[tuple[str, str], int, str] | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="logs", daemon=True).start()

    def write(self, group: str, stream: str, line: str) -> None:
        """Take one line; returns at once."""
        text = line.rstrip("\r\n") or " "  # an event must not be empty
        self._queue.put(((group, stream), int(time.time() * 1000), text[:MAX_EVENT]))

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until all lines taken so far can be read."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(timeout)

    def _run(self) -> None:
        while True:
            entries, waiting = self._gather()
            for target, events in groupby(sorted(entries, key=lambda entry: entry[0]), key=lambda entry: entry[0]):
                try:
                    self._put(target, [{"timestamp": at, "message": text} for _, at, text in events])
                except (BotoCoreError, ClientError):  # the local AWS is ending; what was said is lost
                    log.exception("%s %s", *target)
            for written in waiting:
                written.set()

    def _gather(self) -> tuple[list[tuple[tuple[str, str], int, str]], list[threading.Event]]:
        entries: list[tuple[tuple[str, str], int, str]] = []
        size, deadline = 0, 0.0
        while True:
            try:
                entry = self._queue.get(timeout=max(0.0, deadline - time.monotonic()) if entries else None)
            except queue.Empty:
                return entries, []
            if isinstance(entry, threading.Event):
                return entries, [entry]
            deadline = deadline or time.monotonic() + GATHER_SECONDS
            entries.append(entry)
            size += len(entry[2])
            if size > MAX_BATCH or len(entries) >= 5000:
                return entries, []

    def _put(self, target: tuple[str, str], events: list[dict[str, Any]]) -> None:
        group, stream = target
        for _ in range(2):
            if target not in self._known:
                self._create(group, stream)
                self._known.add(target)
            try:
                self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
                return
            except self._client.exceptions.ResourceNotFoundException:  # somebody has deleted it
                self._known.discard(target)

    def _create(self, group: str, stream: str) -> None:
        for create, names in (
            (self._client.create_log_group, {"logGroupName": group}),
            (self._client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**names)
            except self._client.exceptions.ResourceAlreadyExistsException:
                continue
