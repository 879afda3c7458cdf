"""Text files, however packed, encoded and written: blocks of whole records in UTF-8, with their line numbers."""

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, cast

import numpy as np

from ..shared.errors import BadFile, packed_fault, place
from ..shared.settings import FileFormat

SUFFIXES = (".csv", ".tsv", ".txt", ".data")
LONGEST_RECORD = 64 << 20  # bytes after which a quote that is still open is taken for one that was never closed
COUNTED_AT_A_TIME = 1 << 16  # bytes: what a core's own cache holds
SEPARATOR_LINE = re.compile(rb'\A"?sep=([^\r\n])"?[ \t]*(?=[\r\n]|\Z)')


@dataclass(frozen=True)
class Block:
    """Whole records of one file."""

    text: bytes
    line: int  # the number of its first line, from 1

    @cached_property
    def ends(self) -> int:
        """How many lines end in the text."""
        return line_ends(self.text)


@dataclass(frozen=True)
class Dialect:
    """How a file separates and quotes values, with what follows from it for its bytes."""

    format: FileFormat

    @cached_property
    def separator(self) -> bytes:
        """The sign between values."""
        return self.format.separator.encode()

    @cached_property
    def quote(self) -> bytes:
        """The sign around values; none if there is none."""
        return self.format.quote.encode()

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        return self._pattern(b"")

    @cached_property
    def _spaced(self) -> re.Pattern[bytes]:
        return self._pattern(rb"[ \t]*")

    def _pattern(self, spaces: bytes) -> re.Pattern[bytes]:
        """Return what matches quoted values with these spaces before them; the value is group 1."""
        before = rb"(?:\A|(?<=[%b\r\n]))" % re.escape(self.separator)
        value = rb"(Q[^Q]*(?:QQ[^Q]*)*(?:Q|\Z))".replace(b"Q", re.escape(self.quote))
        return re.compile(before + spaces + value)

    def has_quotes(self, text: bytes) -> bool:
        """Return whether there is a quote in a text."""
        return bool(self.quote) and self.quote in text

    def _has_spaced_quotes(self, text: bytes) -> bool:
        """Return whether there are quotes after a space, many times as fast as a search for each such pair."""
        if not self.has_quotes(text) or not (b" " in text or b"\t" in text):
            return False
        signs = np.frombuffer(text, np.uint8)
        before = signs[np.flatnonzero(signs == ord(self.quote)) - 1]
        return bool(((before == ord(" ")) | (before == ord("\t"))).any())

    def mask(self, text: bytes) -> bytes:
        """Return a text of the same length with each quoted value replaced by x."""
        return self._quoted.sub(lambda quoted: b"x" * len(quoted[0]), text) if self.has_quotes(text) else text

    def end(self, text: bytes) -> int:
        """Return where the last whole record ends."""
        end = _line_end(text)
        return _line_end(self.mask(text)) if self._quotes(text, end) % 2 else end

    def _quotes(self, text: bytes, end: int) -> int:
        """Return how many quotes there are in the first bytes of a text."""
        return count(text, self.quote, end) if self.has_quotes(text) else 0

    def records(self, block: Block) -> Iterator[tuple[int, bytes]]:
        """Yield line number and text of each record that is not blank."""
        line, text = block.line, b""
        for piece in block.text.splitlines(keepends=True):
            text += piece
            # With an odd number of quotes the record may go on in the next line.
            if not self.quote or text.count(self.quote) % 2 == 0 or self.mask(text).endswith((b"\n", b"\r")):
                if text.strip():
                    yield line, text.rstrip(b"\r\n")
                line += line_ends(text)
                text = b""
        if text:
            yield line, text

    def values(self, record: bytes, name: str, line: int) -> list[str]:
        """Return the values of one record without the spaces around them. Raises BadFile: a quote is open."""
        text = io.StringIO(record.decode("utf-8", "surrogateescape"), newline="")
        rows = csv.reader(
            text,
            strict=True,
            delimiter=self.format.separator,
            quotechar=self.format.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )
        try:
            return [value.strip() for value in next(rows, [])]
        except csv.Error as error:
            raise BadFile(f"{place(name, line)}: {error}: close the quote, double a quote in a value") from error

    def cleaned(self, block: Block, name: str) -> Block:
        """Return a block of as many lines without what pyarrow does not take.

        Those are lines of comment, the line `sep=` that Excel reads, spaces before a quote, and spaces that separate.

        Raises BadFile: the line `sep=` names another separator.
        """
        text = block.text
        if block.line == 1 and (found := SEPARATOR_LINE.match(text)):
            if found[1] != self.separator:
                named = json.dumps(found[1].decode("utf-8", "replace"))
                raise BadFile(f"{place(name, 1)}: the separator is {named}: set data.format.separator = {named}")
            text = text[found.end() :]
        if self.separator == b" ":
            text = re.sub(rb"[ \t]+", b" ", text)
            text = re.sub(rb"(?:\A|(?<=[\r\n])) | (?=[\r\n]|\Z)", b"", text)
        elif self._has_spaced_quotes(text):
            text = self._spaced.sub(lambda found: found[1], text)
        if sign := self.format.comment.encode():
            lines = re.compile(rb"(?:\A|(?<=[\r\n]))[ \t]*%b[^\r\n]*" % re.escape(sign))
            spans = [found.span() for found in lines.finditer(self.mask(text))]
            kept = zip([0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)
            text = b"".join(text[start:end] for start, end in kept)
        return block if text is block.text else Block(text, block.line)

    def _whole(self, rest: bytes, chunk: bytes) -> tuple[bytes, bytes]:
        """Return the whole records of what was left over and a chunk after it, and what is left over of these."""
        end = _line_end(chunk)
        # With an even number of quotes before it, a line end is not within quotes.
        if end and (self._quotes(rest, len(rest)) + self._quotes(chunk, end)) % 2 == 0:
            return b"".join((rest, memoryview(chunk)[:end])), chunk[end:]  # large texts are copied once
        text = rest + chunk
        end = self.end(text)
        return text[:end], text[end:]

    def blocks(self, file: Path, name: str, size: int) -> Iterator[Block]:
        """Yield a file's text, about `size` bytes at a time and up to a record's end. Raises BadFile."""
        line, rest = 1, b""
        for chunk in _utf8(file, name, size, self.format.encoding):
            text, rest = self._whole(rest, chunk)
            if len(rest) > max(LONGEST_RECORD, 2 * size):
                raise BadFile(f"{place(name, line)}: a record of more than {len(rest)} bytes: is a quote left open?")
            if text:
                block = Block(text, line)
                line += block.ends
                yield block
        if rest:
            # pyarrow closes a quote left open at the end of the file, and swallows the rows after it.
            if self.quote and rest.count(self.quote) % 2:
                for at, record in self.records(Block(rest, line)):
                    self.values(record, name, at)
            yield Block(rest, line)


def _line_end(text: bytes) -> int:
    """Return where the last whole line ends; a CR at the very end may be half of a CR LF."""
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1


def line_ends(text: bytes) -> int:
    """Return how many lines end in a text: by LF, CR LF or CR."""
    ends = count(text, b"\n")
    return ends if b"\r" not in text else ends + text.count(b"\r") - text.count(b"\r\n")


def count(text: bytes, sign: bytes, end: int | None = None) -> int:
    """Return how often a sign is in a text, or in its first bytes: five times as fast as bytes.count."""
    signs = np.frombuffer(text, np.uint8)[:end]
    pieces = (signs[start : start + COUNTED_AT_A_TIME] for start in range(0, len(signs), COUNTED_AT_A_TIME))
    return sum(int(np.count_nonzero(piece == ord(sign))) for piece in pieces)


def inner_name(file: Path, name: str) -> str:
    """Return the name of the text itself, in lower case: without .gz, or that of the member. Raises BadFile."""
    if file.suffix.lower() != ".zip":
        return file.name.lower().removesuffix(".gz")
    try:
        with zipfile.ZipFile(file) as archive:
            return _member(archive, name).lower()
    except zipfile.BadZipFile as error:
        raise BadFile(f"{name}: {error}: pack the file again") from error


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """Return the name of the only table in an archive, or of its only file."""
    members = [member for member in archive.namelist() if not member.endswith("/") and "__MACOSX/" not in member]
    tables = [member for member in members if member.lower().endswith(SUFFIXES)]
    found = tables or members
    if len(found) != 1:
        named = ", ".join([*found[:3], *(["..."] if len(found) > 3 else [])])
        several = f"{len(found)} files ({named})" if found else "no file"
        raise BadFile(f"{name}: {several} in the archive, want one table: upload each by itself")
    return found[0]


def _opened(file: Path, name: str, stack: ExitStack) -> IO[bytes]:
    if file.suffix.lower() == ".gz":
        return cast(IO[bytes], stack.enter_context(gzip.open(file)))
    if file.suffix.lower() == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(file))
        return stack.enter_context(archive.open(_member(archive, name)))
    return stack.enter_context(file.open("rb", buffering=0))


def _utf8(file: Path, name: str, size: int, encoding: str) -> Iterator[bytes]:
    """Yield a file's text in UTF-8 without a byte order mark; bytes that are none in its encoding stay as they are."""
    try:
        with ExitStack() as stack:
            stream = _opened(file, name, stack)
            decoder: codecs.IncrementalDecoder | None = None
            start = True
            while chunk := stream.read(size):
                if start:
                    if fault := packed_fault(chunk, file.name):
                        raise BadFile(f"{name}: {fault}")
                    own = _encoding(chunk, name, encoding)
                    decoder = None if own == "utf-8" else codecs.getincrementaldecoder(own)("surrogateescape")
                text = chunk if decoder is None else decoder.decode(chunk).encode("utf-8", "surrogateescape")
                yield text.removeprefix(codecs.BOM_UTF8) if start else text
                start = False
            if decoder is not None:
                decoder.decode(b"", True)
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:
        raise BadFile(f"{name}: {error}: pack the file again") from error
    except UnicodeError as error:
        raise BadFile(f"{name}: the text is not {encoding}: set data.format.encoding") from error


def _encoding(start: bytes, name: str, encoding: str) -> str:
    """Return the name of a text's encoding, as Python has it. Raises BadFile: the text starts as one in another."""
    own = codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
    marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    wide = own.startswith(("utf-16", "utf-32"))
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if not wide and (marked or b"\0" in start[:8]):
        raise BadFile(f'{name}: the text looks like UTF-16: set data.format.encoding = "utf-16"')
    if wide and not marked and b"\0" not in start:
        raise BadFile(f'{name}: the text is not {encoding}: set data.format.encoding, such as "utf-8"')
    return own
