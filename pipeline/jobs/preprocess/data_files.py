"""Every file of the data, whatever its format: valid rows out, bad ones to the quarantine with their reasons."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..shared.errors import BadFile, JobError
from ..shared.settings import BadRowLimit, JobSettings
from .csv_reader import read_csv
from .levels import Levels
from .parallel import parallel_map
from .parquet_reader import read_parquet
from .records import LINE_BITS, Ordered, Records
from .text_file import SUFFIXES as TEXT_SUFFIXES
from .validation import BadRow, Rows

Result = TypeVar("Result")
AnyRows = TypeVar("AnyRows", Records, Ordered)
NO_FILE = (
    f"no file whose name ends in {', '.join(TEXT_SUFFIXES)}, .gz, .zip or .parquet: upload one under the data prefix"
)
BLOCKS_IN_MEMORY = 128
"""A block of text is this part of the memory: each of those under way needs some six times its size."""
MOST_NAMED = 5  # bad rows that a message names
LAST = "~"  # after every time


class Quarantine:
    """A file of what was left out: an object per line, {file, row, column, reason, text} or, of a file, {file, reason}.

    It is written if something was left out.
    """

    def __init__(self, file: Path, limit: BadRowLimit) -> None:
        self.file, self.limit = file, limit
        self.counts: Counter[str] = Counter()  # bad rows by file
        self.faults: dict[str, list[str]] = {}  # those of the first bad rows by file

    @property
    def count(self) -> int:
        """The number of bad rows, without those of files that were set aside."""
        return self.counts.total()

    @property
    def first(self) -> list[str]:
        """The faults of the first bad rows."""
        return list(chain(*self.faults.values()))[:MOST_NAMED]

    def add(self, name: str, bad: list[BadRow]) -> None:
        """Append rows of a file."""
        if bad:
            self.counts[name] += len(bad)
            faults = self.faults.setdefault(name, [])
            faults += [str(row) for row in bad[: MOST_NAMED - len(faults)]]
            self._write([asdict(row) for row in bad])

    def set_aside(self, name: str, reason: str) -> None:
        """Append a file as a whole."""
        self.counts.pop(name, None)
        self.faults.pop(name, None)
        self._write([{"file": name, "reason": reason}])

    def _write(self, left_out: list[dict[str, Any]]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in left_out)


def check_limit(bad: int, first: list[str], read: int | None, limit: BadRowLimit) -> None:
    """Raise JobError, with the first bad rows, when more are bad than the limit allows of those read, if known."""
    if bad <= max(limit.count, limit.share * (read or 0)):
        return
    if not limit.count and not limit.share:
        raise JobError(first[0])
    rows = f"{bad} of {read} rows are" if read else f"at least {bad} rows are"
    raise JobError(f"{rows} wrong, more than data.bad_rows allows: {'; '.join(first)}")


def check_left(files: int, reasons: list[str]) -> None:
    """Raise JobError when each of the files was set aside for one of these reasons."""
    if files and len(reasons) == files:
        raise JobError(f"no file is left: {'; '.join(reasons[:MOST_NAMED])}")


class DataFiles:
    """The files under a directory, in the order of the `times` of their uploads, then by path.

    A file that `times` lacks was uploaded after they were listed.
    """

    def __init__(self, root: Path, settings: JobSettings, times: dict[str, str] | None = None) -> None:
        self.settings = settings
        self.levels = Levels(settings.features, settings.levels.maximum)
        names = [str(path.relative_to(root)) for path in root.rglob("*") if is_data(path.name) and path.is_file()]
        self.uploads = sorted((times.get(name, LAST) if times else "", name) for name in names)
        self.names = [name for _, name in self.uploads]
        self.files = [root / name for name in self.names]
        self.rows = [0] * len(self.files)  # rows read of each file so far, bad ones too
        self.set_aside: dict[int, str] = {}  # by number the reason of each file that the run goes on without

    def again(self, settings: JobSettings) -> "DataFiles":
        """Return the same files, without those set aside, for another reading by other settings."""
        again = copy(self)
        again.settings, again.levels = settings, Levels(settings.features, settings.levels.maximum)
        again.rows, again.set_aside = [0] * len(self.files), dict(self.set_aside)
        return again

    def records(self, quarantine: Quarantine) -> Iterator[Records]:
        """Yield the rows of every file, in order; `kept` says which are of files that were set aside later.

        Raises JobError: an unusable file, or too many bad rows.
        """
        return (records for records in self.read(quarantine, self._records) if len(records))

    def read(self, quarantine: Quarantine, work: Callable[[int, Rows], Result]) -> Iterator[Result]:
        """Yield what `work` makes, in any thread, of the valid rows of each block of the file of a number, in order.

        Raises JobError: an unusable file, or too many bad rows.
        """
        for number, rows, result in parallel_map(partial(self._read, work), self._blocks()):
            if number not in self.set_aside and self._takes(number, rows, quarantine) and result is not None:
                yield result
        for number, (name, count) in enumerate(zip(self.names, self.rows, strict=True)):
            if not count and number not in self.set_aside:
                header = "a header and " if self.settings.format.header else ""
                self._refuse(number, BadFile(f"{name}: {header}no rows: add rows or remove the file"), quarantine)
            elif self.settings.on_bad_file == "quarantine" and number not in self.set_aside:
                self._check(number, count, quarantine)

    def kept(self, records: AnyRows) -> AnyRows:
        """Return the rows that are of no file that was set aside."""
        if not self.set_aside:
            return records
        return records[~np.isin(records.places >> LINE_BITS, list(self.set_aside))]

    def _takes(self, number: int, rows: Rows | BadFile, quarantine: Quarantine) -> bool:
        if isinstance(rows, BadFile):
            self._refuse(number, rows, quarantine)
            return False
        self.rows[number] += len(rows.labels) + len(rows.bad)
        if rows.bad:
            quarantine.add(self.names[number], rows.bad)
            if not quarantine.limit.share:
                self._check(number, None, quarantine)
        return number not in self.set_aside

    def _check(self, number: int, read: int | None, quarantine: Quarantine) -> None:
        """Refuse a file when too many rows are bad: of its own if files are set aside, else of all."""
        name = self.names[number]
        count, first = quarantine.count, quarantine.first
        if self.settings.on_bad_file == "quarantine":
            count, first = quarantine.counts[name], quarantine.faults.get(name, [])
        try:
            check_limit(count, first, read, quarantine.limit)
        except JobError as error:
            self._refuse(number, error, quarantine)

    def _refuse(self, number: int, error: JobError, quarantine: Quarantine) -> None:
        """Set a file aside, or raise JobError if the settings want that."""
        name = self.names[number]
        if self.settings.on_bad_file != "quarantine":
            advice = f"; or take the file away: ops data remove {name}" if self.settings.target else ""
            raise JobError(f"{error}{advice}") from error
        self.set_aside[number] = str(error)
        self.rows[number] = 0
        quarantine.set_aside(name, str(error))

    def _read(
        self, work: Callable[[int, Rows], Result], block: tuple[int, Callable[[], Rows]]
    ) -> tuple[int, Rows | BadFile, Result | None]:
        number, read = block
        try:
            rows = read()
        except BadFile as error:
            return number, error, None
        return number, rows, work(number, rows)

    def _records(self, number: int, rows: Rows) -> Records:
        lines = rows.lines if self.settings.id_columns else np.ones_like(rows.lines)
        return Records.of(rows.features, rows.labels, lines | number << LINE_BITS, rows.contents)

    def _blocks(self) -> Iterator[tuple[int, Callable[[], Rows]]]:
        size = max(1, self.settings.memory_bytes // BLOCKS_IN_MEMORY)
        # A key of other missing texts is made of the texts, also of those of numbers.
        as_text = set() if self.settings.key_texts is None else set(self.settings.numeric)
        read_text = partial(read_csv, as_text=as_text)
        for number, (file, name) in enumerate(zip(self.files, self.names, strict=True)):
            read_file = read_parquet if file.suffix.lower() == ".parquet" else read_text
            try:
                for read in read_file(file, name, size, self.settings, self.levels):
                    if number in self.set_aside:
                        break
                    yield number, read
            except BadFile as error:
                yield number, partial(_raise, error)


def upload_times(listing: Path | None) -> dict[str, str]:
    """Return when each object of a listing, listing.json or its folder, was uploaded, by every end of its key's path.

    Raises JobError: it is no list of objects.
    """
    if listing is None:
        return {}
    file = listing / "listing.json" if listing.is_dir() else listing
    try:
        objects = {item["key"]: str(item["modified"]) for item in json.loads(file.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{file}: no list of objects with key and modified ({type(error).__name__}: {error})") from error
    times: dict[str, str] = {}
    # The shorter key first: "a.csv" is raw/a.csv rather than raw/b/a.csv.
    for key in sorted(objects, key=len):
        folders = key.split("/")
        for start in range(len(folders)):
            times.setdefault("/".join(folders[start:]), objects[key])
    return times


def is_data(name: str) -> bool:
    """Return whether a file of this name is read."""
    return name.lower().endswith((*TEXT_SUFFIXES, ".gz", ".zip", ".parquet"))


def _raise(error: BadFile) -> Rows:
    raise error
