"""CSV text in blocks of whole records: what is parsed at a time, by one thread, and looked at closely if it fails."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from problems import TableError, place

LONGEST_RECORD = 64 << 20
"""Bytes after which a quote that is still open is taken for one that was never closed."""
QUOTED = re.compile(rb'(?:\A|(?<=[,\r\n]))"[^"]*(?:""[^"]*)*(?:"|\Z)')


@dataclass(frozen=True)
class Block:
    """Whole records of one file."""

    text: bytes
    line: int
    """The number of its first line, from 1."""

    @property
    def first(self) -> bool:
        """Whether it begins with the header."""
        return self.line == 1

    def records(self) -> list[tuple[int, bytes]]:
        """Return line number and text of each record that is not blank, the header included."""
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
    """Yield a file's text, unpacked if its name ends in .gz, `size` bytes at a time and up to the end of a record.

    Raises:
        TableError: it is not gzip or cut short, or a quote is left open.
    """
    line, rest = 1, b""
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb", buffering=0) as stream:
            while chunk := stream.read(size):
                text = rest + chunk
                end = _end(text)
                rest = text[end:]
                if len(rest) > max(LONGEST_RECORD, 2 * size):
                    raise TableError(
                        f"{place(name, line)}: a record of more than {len(rest)} bytes: is a quote left open?"
                    )
                if end:
                    yield Block(text[:end], line)
                    line += line_ends(text[:end])
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableError(f"{name}: {error}: pack the file again") from error
    if rest:
        # pyarrow closes a quote left open at the end of the file, and swallows the rows after it.
        if rest.count(b'"') % 2:
            for at, record in Block(rest, line).records():
                values_of(record, name, at)
        yield Block(rest, line)


def values_of(record: bytes, name: str, line: int) -> list[str]:
    """Return the values of one record.

    Raises:
        TableError: a quote is left open or misplaced.
    """
    text = record.decode("utf-8-sig" if line == 1 else "utf-8", "surrogateescape")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
    except csv.Error as error:
        raise TableError(f"{place(name, line)}: {error}: close the quote, double a quote in a value") from error


def line_ends(text: bytes) -> int:
    """Return how many lines end in a text: by LF, CR LF or CR."""
    ends = text.count(b"\n")
    return ends if b"\r" not in text else ends + text.count(b"\r") - text.count(b"\r\n")


def mask(text: bytes) -> bytes:
    """Return a text of the same length without the signs that are quoted."""
    return QUOTED.sub(lambda quoted: b"x" * len(quoted[0]), text) if b'"' in text else text


def _end(text: bytes) -> int:
    """Return where the last whole record ends; a CR at the very end may be half of a CR LF."""
    end = _last(text)
    # With an even number of quotes before it, a line end is not within quotes.
    return _last(mask(text)) if text.count(b'"', 0, end) % 2 else end


def _last(text: bytes) -> int:
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
