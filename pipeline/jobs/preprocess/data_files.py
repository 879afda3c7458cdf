"""Every file of the data, whatever its format: valid rows out, bad ones to the quarantine with their reasons."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..shared.errors import JobError
from ..shared.settings import BadRowLimit, JobSettings
from .csv_reader import read_csv
from .parquet_reader import read_parquet
from .records import LINE_BITS, Records
from .validation import BadRow, Rows

Item = TypeVar("Item")
Result = TypeVar("Result")
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SUFFIXES = (".csv", ".csv.gz", ".parquet")
NO_FILE = f"no file whose name ends in {', '.join(SUFFIXES)}: upload one under the data prefix"
BLOCKS_IN_MEMORY = 128
"""A block of text is this part of the memory: each of those under way needs some six times its size."""
MOST_NAMED = 5  # bad rows that a message names


class Quarantine:
    """A file of bad rows, one JSON object per line: {file, row, column, reason, text}. Without such a row, no file."""

    def __init__(self, file: Path, limit: BadRowLimit) -> None:
        self.file, self.limit = file, limit
        self.count = 0
        self.first: list[str] = []  # the faults of the first bad rows

    def add(self, bad: list[BadRow]) -> None:
        """Append rows. Raises JobError: they are more than the limit, whatever the number of all rows."""
        if not bad:
            return
        self.count += len(bad)
        self.first += [str(row) for row in bad[: MOST_NAMED - len(self.first)]]
        if not self.limit.share:
            check_limit(self.count, self.first, None, self.limit)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in bad)


def check_limit(bad: int, first: list[str], read: int | None, limit: BadRowLimit) -> None:
    """Raise JobError, with the first bad rows, when more are bad than the limit allows of those read, if known."""
    if bad <= max(limit.count, limit.share * (read or 0)):
        return
    if not limit.count and not limit.share:
        raise JobError(first[0])
    rows = f"{bad} of {read} rows are" if read else f"at least {bad} rows are"
    raise JobError(f"{rows} wrong, more than data.bad_rows allows: {'; '.join(first)}")


class DataFiles:
    """The files under a directory, sorted by path."""

    def __init__(self, root: Path, settings: JobSettings) -> None:
        self.settings = settings
        self.files = sorted(path for path in root.rglob("*") if path.name.lower().endswith(SUFFIXES) and path.is_file())
        self.names = [str(file.relative_to(root)) for file in self.files]
        self.rows = [0] * len(self.files)  # rows read of each file so far, bad ones too

    def records(self, quarantine: Quarantine) -> Iterator[Records]:
        """Yield the rows of every file, in order. Raises JobError: an unusable file, or too many bad rows."""
        for number, rows, records in parallel_map(self._read, self._blocks()):
            self.rows[number] += len(rows.labels) + len(rows.bad)
            quarantine.add(rows.bad)
            if len(records):
                yield records
        for name, count in zip(self.names, self.rows, strict=True):
            if not count:
                raise JobError(f"{name}: a header and no rows: add rows or remove the file")

    def _read(self, block: tuple[int, Callable[[], Rows]]) -> tuple[int, Rows, Records]:
        number, read = block
        rows = read()
        places = rows.lines | number << LINE_BITS
        return number, rows, Records.of(rows.features, rows.labels, places, self.settings.salt)

    def _blocks(self) -> Iterator[tuple[int, Callable[[], Rows]]]:
        read_text = partial(read_csv, known=set())
        size = max(1, self.settings.memory_bytes // BLOCKS_IN_MEMORY)
        for number, (file, name) in enumerate(zip(self.files, self.names, strict=True)):
            read_file = read_parquet if file.suffix.lower() == ".parquet" else read_text
            for read in read_file(file, name, size, self.settings):
                yield number, read


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what `map` would, in order, errors included, from threads: pyarrow and numpy release Python's lock.

    At most WORKERS + 1 items are under way, so memory is bounded.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[Result]] = deque()
        rest = iter(items)
        ended: Exception | None = None
        while ended is None:
            try:
                waiting.append(pool.submit(work, next(rest)))
            except Exception as error:
                ended = error
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if not isinstance(ended, StopIteration):
            raise ended
