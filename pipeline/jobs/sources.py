"""Every file of the data, whatever its format: checked rows out, wrong ones to the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ahead import ahead
from csv_blocks import blocks, values_of
from csv_faults import check_header
from csv_rows import Rows, read_block
from job_settings import JobSettings
from parquet_rows import batches, read_batch
from problems import TableError, place
from quarantine import Quarantine
from records import LINE_BITS, Records

SUFFIXES = (".csv", ".csv.gz", ".parquet")
NO_FILE = f"no file whose name ends in {', '.join(SUFFIXES)}: upload one under the data prefix"
BLOCKS_IN_MEMORY = 128
"""A block of text is this part of the memory: each of those under way needs some six times its size."""


class Source:
    """The files under a directory, sorted by path."""

    def __init__(self, root: Path, settings: JobSettings) -> None:
        self.root, self.settings = root, settings
        self.files = sorted(path for path in root.rglob("*") if path.name.lower().endswith(SUFFIXES) and path.is_file())
        self.names = [str(file.relative_to(root)) for file in self.files]
        self.rows = [0] * len(self.files)
        """Rows read of each file so far, refused ones too."""

    def records(self, quarantine: Quarantine) -> Iterator[Records]:
        """Yield the rows of every file, in order.

        Raises:
            TableError: a file that is empty or unreadable, a column missing or unknown, or more wrong rows than the
                settings allow: a value that is not a finite number, an unknown label, too many or too few values.
        """
        for number, rows, records in ahead(self._made, self._work()):
            self.rows[number] += len(rows.labels) + len(rows.refused)
            quarantine.add(rows.refused)
            if len(records):
                yield records
        for name, count in zip(self.names, self.rows, strict=True):
            if not count:
                raise TableError(f"{name}: a header and no rows: add rows or remove the file")

    def _made(self, work: tuple[int, Callable[[], Rows]]) -> tuple[int, Rows, Records]:
        number, read = work
        rows = read()
        places = rows.lines | number << LINE_BITS
        return number, rows, Records.of(rows.features, rows.labels, places, self.settings.salt)

    def _work(self) -> Iterator[tuple[int, Callable[[], Rows]]]:
        known: set[str] = set()
        size = max(1, self.settings.memory_bytes // BLOCKS_IN_MEMORY)
        for number, (file, name) in enumerate(zip(self.files, self.names, strict=True)):
            if file.suffix.lower() == ".parquet":
                for first, batch in batches(file, name, self.settings, size):
                    yield number, partial(read_batch, first, batch, name, self.settings)
                continue
            header: list[str] = []
            for block in blocks(file, name, size):
                if not header:
                    line, record = next(iter(block.records()), (1, b""))
                    header = values_of(record, name, line)
                    check_header(header, place(name, line), self.settings)
                yield number, partial(read_block, block, name, header, self.settings, known)
            if not header:
                raise TableError(f"{name}: the file is empty: it needs a header and rows")
