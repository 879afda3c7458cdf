"""CSV files: text in blocks of whole records, parsed by pyarrow and checked by whole columns.

Wrong values are mostly the same few: those found before are parsed as missing, and only rows in doubt are read value by
value. A block that does not parse even so is read as text, to separate its bad rows from the valid ones.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask
from ..shared.errors import JobError, place
from ..shared.settings import JobSettings
from .validation import BadRow, Rows, check_columns, check_header, check_numbers, check_texts, first_fault, is_text

LONGEST_RECORD = 64 << 20  # bytes after which a quote that is still open is taken for one that was never closed
MOST_KNOWN = 1000  # wrong values that are remembered
QUOTED = re.compile(rb'(?:\A|(?<=[,\r\n]))"[^"]*(?:""[^"]*)*(?:"|\Z)')


def read_csv(file: Path, name: str, size: int, settings: JobSettings, known: set[str]) -> Iterator[Callable[[], Rows]]:
    """Yield a function per block of about `size` bytes of the file called `name`, which reads its rows in any thread.

    `known` are wrong values that were found before; reading adds to it.

    Raises JobError: the file is empty or unreadable, a column is missing or unknown, or the text is not CSV.
    """
    table: CsvTable | None = None
    for block in blocks(file, name, size):
        rows = block
        if table is None:
            line, record = next(iter(block.records()), (1, b""))
            header = values_of(record, name, line)
            check_header(header, place(name, line), settings)
            table = CsvTable(name, header, settings, known)
            text = block.text[block.text.index(record) + len(record) :].lstrip(b"\r\n")
            rows = Block(text, 1 + line_ends(block.text.removesuffix(text)))
        if rows.text.strip(b"\r\n"):
            yield partial(table.read, rows)
    if table is None:
        raise JobError(f"{name}: the file is empty: it needs a header and rows")


@dataclass(frozen=True)
class Block:
    """Whole records of one file."""

    text: bytes
    line: int  # the number of its first line, from 1

    def records(self) -> list[tuple[int, bytes]]:
        """Return line number and text of each record that is not blank."""
        if b'"' not in self.text:
            return [(line, record) for line, record in enumerate(self.text.splitlines(), self.line) if record]
        found, at, line = [], 0, self.line
        for piece in mask(self.text).splitlines(keepends=True):
            text = self.text[at : at + len(piece)]
            at += len(piece)
            if record := text.rstrip(b"\r\n"):
                found.append((line, record))
            line += line_ends(text)
        return found


def blocks(file: Path, name: str, size: int) -> Iterator[Block]:
    """Yield a file's text, unpacked if .gz, `size` bytes at a time and up to a record's end. Raises JobError."""
    line, rest = 1, b""
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb", buffering=0) as stream:
            while chunk := stream.read(size):
                text = rest + chunk
                end = _end(text)
                rest = text[end:]
                if len(rest) > max(LONGEST_RECORD, 2 * size):
                    found = f"a record of more than {len(rest)} bytes"
                    raise JobError(f"{place(name, line)}: {found}: is a quote left open?")
                if end:
                    yield Block(text[:end], line)
                    line += line_ends(text[:end])
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise JobError(f"{name}: {error}: pack the file again") from error
    if rest:
        # pyarrow closes a quote left open at the end of the file, and swallows the rows after it.
        if rest.count(b'"') % 2:
            for at, record in Block(rest, line).records():
                values_of(record, name, at)
        yield Block(rest, line)


def values_of(record: bytes, name: str, line: int) -> list[str]:
    """Return the values of one record. Raises JobError: a quote is left open or misplaced."""
    text = record.decode("utf-8-sig" if line == 1 else "utf-8", "surrogateescape")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
    except csv.Error as error:
        raise JobError(f"{place(name, line)}: {error}: close the quote, double a quote in a value") from error


def line_ends(text: bytes) -> int:
    """Return how many lines end in a text: by LF, CR LF or CR."""
    ends = text.count(b"\n")
    return ends if b"\r" not in text else ends + text.count(b"\r") - text.count(b"\r\n")


def mask(text: bytes) -> bytes:
    """Return a text of the same length with each quoted value replaced by x."""
    return QUOTED.sub(lambda quoted: b"x" * len(quoted[0]), text) if b'"' in text else text


def _end(text: bytes) -> int:
    """Return where the last whole record ends; a CR at the very end may be half of a CR LF."""
    end = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
    # With an even number of quotes before it, a line end is not within quotes.
    masked = mask(text) if text.count(b'"', 0, end) % 2 else text
    return max(masked.rfind(b"\n"), masked.rfind(b"\r", 0, -1)) + 1


@dataclass(frozen=True)
class CsvTable:
    """A file's name and header, and how to read its blocks."""

    name: str
    header: list[str]
    settings: JobSettings
    known: set[str]

    def read(self, block: Block) -> Rows:
        """Return the rows of a block. Raises JobError: the text is not CSV."""
        try:
            batch = self._parsed(block.text)
        except pa.ArrowInvalid:
            return self._read_in_two(block)
        features, labels, doubtful = check_columns(batch, self.settings, check_numbers)
        if not doubtful.any():
            return Rows(features, labels, _lines(block, len(labels)))
        records = block.records()
        if len(records) != len(labels):
            return self._read_in_two(block)
        return self._resolved(records, np.array(features), np.array(labels), doubtful)

    def _parsed(self, text: bytes, as_text: bool = False) -> pa.RecordBatch:
        """Return all rows; numbers written like a known wrong value are missing."""
        numeric = () if as_text else self.settings.numeric
        types = {column: pa.float64() if column in numeric else pa.string() for column in self.settings.columns}
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=self.header),
            pa_csv.ParseOptions(newlines_in_values=True),
            pa_csv.ConvertOptions(column_types=types, null_values=[] if as_text else list(self.known)),
        )
        batches = table.combine_chunks().to_batches()  # none of a text without a row
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)

    def _read_in_two(self, block: Block) -> Rows:
        """Return the rows of a block that does not parse as it is: the whole records first, then those in doubt."""
        records = block.records()
        doubtful = _not_whole(block, [record for _, record in records], len(self.header))
        whole = np.flatnonzero(~doubtful)
        features, labels = np.zeros((len(self.settings.features), len(records))), np.zeros(len(records))
        if len(whole):
            text, batch = b"\n".join([records[row][1] for row in whole]), None
            for check in (check_numbers, check_texts):
                with suppress(pa.ArrowInvalid):
                    batch = self._parsed(text, as_text=check is check_texts)
                    break
            if batch is None or batch.num_rows != len(whole):
                fault = "a value has quotes in it that are not doubled"
                raise JobError(f"{self.name}: {fault}: see from row {block.line} on")
            columns, labels[whole], doubtful[whole] = check_columns(batch, self.settings, check)
            features[:, whole] = columns
        return self._resolved(records, features, labels, doubtful)

    def _resolved(self, records: list[tuple[int, bytes]], features: Floats, labels: Floats, doubtful: Mask) -> Rows:
        """Return the valid rows, after reading those in doubt value by value, and the bad ones with their reasons.

        `records` are line number and text of each row; `features` (features, rows) and `labels` (rows,) are filled in.
        """
        bad, valid = [], ~doubtful
        for row in np.flatnonzero(doubtful):
            line, record = records[row]
            values = values_of(record, self.name, line)
            if found := first_fault(self.header, values, self.settings):
                bad.append(BadRow(self.name, line, *found, record.decode("utf-8", "backslashreplace")))
                if found[0] in self.settings.numeric and len(self.known) < MOST_KNOWN:
                    self.known.add(values[self.header.index(found[0])])
                continue
            valid[row] = True
            given = dict(zip(self.header, values, strict=True))
            features[:, row] = [float(given[column]) for column in self.settings.features]
            label = given[self.settings.target]
            labels[row] = self.settings.classes.index(label) if self.settings.classes else float(label)
        lines = np.array([line for line, _ in records], np.int64)
        return Rows([column[valid] for column in features], labels[valid], lines[valid], bad)


def _lines(block: Block, rows: int) -> NDArray[np.int64]:
    """Return each row's line; where no line is blank and no value has two, they follow one another."""
    ends = line_ends(block.text) + (not block.text.endswith((b"\n", b"\r")))
    if ends == rows:
        return np.arange(block.line, block.line + ends)
    return np.array([line for line, _ in block.records()], np.int64)


def _not_whole(block: Block, records: list[bytes], width: int) -> Mask:
    """Return which records have too many or too few values, or one that is not UTF-8."""
    quoted = b'"' in block.text
    commas = np.array([(mask(record) if quoted else record).count(b",") for record in records], np.int64)
    wrong: Mask = commas + 1 != width
    if not block.text.isascii():
        wrong |= np.array([not is_text(record.decode("utf-8", "surrogateescape")) for record in records], bool)
    return wrong
