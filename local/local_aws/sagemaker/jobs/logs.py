"""Transfer of containers' output lines to CloudWatch Logs."""

import logging
import queue
import threading
import time
from itertools import accumulate, groupby
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

MAX_EVENT = 250_000  # PutLogEvents takes 256 KiB an event, 1 MiB and 10,000 events a call
MAX_BATCH, MAX_EVENTS = 700_000, 5_000
GATHER_SECONDS = 0.1

log = logging.getLogger(__name__)
Line = tuple[tuple[str, str], int, str]
"""Group and stream, milliseconds since 1970, text."""
Entry = TypeVar("Entry")


class BatchWriter(Generic[Entry]):
    """A thread that writes entries in the order of `put`, those of `seconds` or `most` of them at once."""

    def __init__(self, name: str, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._queue: queue.SimpleQueue[Entry | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, entry: Entry) -> None:
        """Take one entry; returns at once."""
        self._queue.put(entry)

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until all entries taken so far are written."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(timeout)

    def write_all(self, entries: list[Entry]) -> None:
        """Write a batch; it logs what it cannot write."""
        raise NotImplementedError

    def _run(self) -> None:
        while True:
            entries: list[Entry] = []
            waiting, deadline = None, 0.0
            while waiting is None and len(entries) < self._most:
                try:
                    entry = self._queue.get(timeout=max(0.0, deadline - time.monotonic()) if entries else None)
                except queue.Empty:
                    break
                deadline = deadline or time.monotonic() + self._seconds
                if isinstance(entry, threading.Event):
                    waiting = entry
                else:
                    entries.append(entry)
            self.write_all(entries)
            if waiting is not None:
                waiting.set()


class LogWriter(BatchWriter[Line]):
    """One thread that writes the output of all containers, in order; `client` is of CloudWatch Logs."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: set[tuple[str, str]] = set()
        super().__init__("logs", GATHER_SECONDS, MAX_EVENTS)

    def write(self, group: str, stream: str, line: str) -> None:
        """Take one line; returns at once."""
        text = line.rstrip("\r\n") or " "  # an event must not be empty
        self.put(((group, stream), int(time.time() * 1000), text[:MAX_EVENT]))

    def write_all(self, entries: list[Line]) -> None:
        """Write the lines, one call per stream and MAX_BATCH bytes."""
        for target, lines in groupby(sorted(entries, key=lambda entry: entry[0]), key=lambda entry: entry[0]):
            events = [{"timestamp": at, "message": text} for _, at, text in lines]
            ends = list(accumulate(len(str(event["message"])) for event in events))
            try:
                for _, batch in groupby(zip(ends, events, strict=True), key=lambda pair: pair[0] // MAX_BATCH):
                    self._put(target, [event for _, event in batch])
            except (BotoCoreError, ClientError):  # the local AWS ends; these lines are lost
                log.exception("%s %s", *target)

    def _put(self, target: tuple[str, str], events: list[dict[str, Any]]) -> None:
        group, stream = target
        for _ in range(2):
            if target not in self._known:
                self._create(group, stream)
                self._known.add(target)
            try:
                self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
                return
            except self._client.exceptions.ResourceNotFoundException:  # it was deleted
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
