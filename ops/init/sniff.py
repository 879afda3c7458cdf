"""How a text file is written: its encoding, separator, quote, header and comment lines; and its cells."""

import codecs
import csv
import gzip
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ops.account import OpsError
from ops.init.columns import MISSING
from pipeline.jobs.shared.errors import packed_fault
from pipeline.settings import Format

BLOCK, BLOCKS = 1 << 20, 32
"""A larger file is read as every second, fourth, … block: settings do not need every row."""
LINES = 400  # lines at the beginning that show how the file is written
SEPARATORS = (",", ";", "\t", "|", " ", ":", "^", "~")
COMMENTS = "#%!*/"
TEXTS = (".csv", ".tsv", ".txt", ".data")
SUFFIXES = (*TEXTS, *(f"{text}{packed}" for packed in (".gz", ".zip") for text in ("", *TEXTS)), ".parquet")
OTHERS = re.compile(r"[,;\t|]|\S {2,}\S")  # what separates values, in a value
NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?", re.I)


@dataclass(frozen=True)
class Cells:
    """The values of a file by column, as texts without spaces around them; `odd` lines had another width.

    `unusable` has the reason for each column that holds no texts, whatever they say.
    """

    names: list[str]
    columns: list[list[str]]
    format: Format
    odd: int
    share: float  # of the file that was read
    unusable: dict[str, str] = field(default_factory=dict)


def read_text(file: Path, target: str, names: Sequence[str]) -> Cells:
    """Return the cells of a text file. `target` and `names` tell whether there is a header. Raises OpsError."""
    encoding, text, share = _decoded(file)
    lines = re.split("\r\n|\n|\r", text)
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        separator, lines = lines[0].strip()[-1], lines[1:]
    else:
        separator = ""
    head = [line for line in lines[:LINES] if line.strip()]
    if not head:
        raise OpsError(f"{file}: the file is empty: it needs rows")
    comment = _comment(head)
    head = [line for line in head if not comment or not line.lstrip().startswith(comment)]
    quote = _quote(head)
    separator = separator or _separator(file, head, quote)
    wanted = (line for line in lines if line.strip() and not (comment and line.lstrip().startswith(comment)))
    rows = list(_rows(wanted, separator, quote))
    width = Counter(map(len, rows[:LINES])).most_common(1)[0][0]
    if all(not row[-1] for row in rows if len(row) == width) and len(rows[0]) in (width - 1, width):
        # Each row ends in a separator.
        rows, width = [row[:-1] if len(row) == width else row for row in rows], width - 1
    top = rows[0]
    if len(top) == width - 1 and len({row[0] for row in rows[1:]}) == len(rows) - 1:
        top = ["", *top]  # R gives the names of rows no name
        rows = [top, *rows[1:]]
    if len(top) != width:
        wrong = f"{file}: the first line has {len(top)} values and most rows have {width}"
        raise OpsError(f"{wrong}: give each column a name, and delete lines before the header")
    header = _has_header(rows[:LINES], target)
    if names and header:
        raise OpsError(f"{file}: its first line is a header ({', '.join(top)}): --names is for files without one")
    called = top if header else list(names) or [f"column_{number}" for number in range(1, width + 1)]
    if len(called) != width:
        raise OpsError(f"--names has {len(called)} names and the rows have {width} values: name each column")
    if called.count("") > 1:
        raise OpsError(f"{file}: columns without a name: give each one, and delete lines before the header")
    if twice := [name for name, count in Counter(called).items() if count > 1]:
        raise OpsError(f"{file}: two columns are called {twice[0]!r}: give each its own name in the first line")
    whole = [row for row in rows[header:] if len(row) == width]
    found = Format(
        separator=separator,
        quote=quote,
        encoding=encoding,
        comment=comment,
        header=bool(header),
        names=() if header else tuple(called),
    )
    columns = [list(column) for column in zip(*whole, strict=True)] or [[] for _ in called]
    return Cells(called, columns, found, len(rows) - header - len(whole), share)


@contextmanager
def _opened(file: Path) -> Iterator["IO[bytes] | gzip.GzipFile"]:
    if file.suffix.lower() == ".gz":
        with gzip.open(file) as stream:
            yield stream
    elif file.suffix.lower() == ".zip":
        with zipfile.ZipFile(file) as packed:
            members = [name for name in packed.namelist() if name.lower().endswith(TEXTS) and "__MACOSX/" not in name]
            if len(members) != 1:
                raise OpsError(f"{file}: {len(members)} tables in it: pack one {', '.join(TEXTS)} file per archive")
            with packed.open(members[0]) as stream:
                yield stream
    else:
        with file.open("rb") as stream:
            if fault := packed_fault(stream.peek(4), file.name):
                raise OpsError(f"{file}: {fault}")
            yield stream


def _decoded(file: Path) -> tuple[str, str, float]:
    """Return the encoding, the text and the share of the file that this is: all of it, or blocks of whole lines."""
    kept: list[bytes] = []
    stride = number = 0
    try:
        with _opened(file) as stream:
            stride = 1
            while block := stream.read(BLOCK):
                if number % stride == 0:
                    kept.append(block)
                if len(kept) > BLOCKS:
                    kept, stride = kept[::2], stride * 2
                number += 1
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise OpsError(f"{file}: {error}") from error
    encoding = _encoding(b"".join(kept[:8]) if stride == 1 else kept[0])
    try:
        if stride == 1:
            return encoding, b"".join(kept).decode(encoding).removeprefix("\ufeff"), 1.0
    except UnicodeDecodeError:  # the first blocks were ASCII
        encoding = _encoding(b"".join(kept))
        return encoding, b"".join(kept).decode(encoding), 1.0
    texts = [block.decode(encoding, "replace") for block in kept]
    whole = [text[text.find("\n") + 1 if place else 0 : text.rfind("\n") + 1] for place, text in enumerate(texts)]
    return encoding, "".join(whole).removeprefix("\ufeff"), len(kept) / number


def _encoding(text: bytes) -> str:
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if text[1::2].count(0) > len(text) / 4:
        return "utf-16-le"
    if text[::2].count(0) > len(text) / 4:
        return "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            # A block may end in the middle of a character.
            codecs.getincrementaldecoder(encoding)().decode(text)
        except UnicodeDecodeError:
            continue
        high = any(0x80 <= byte < 0xA0 for byte in text)
        return "latin-1" if encoding == "cp1252" and not high else encoding
    return "latin-1"


def _comment(head: list[str]) -> str:
    """Return the sign that starts comments: some lines begin with it, and they are not as wide as the others."""
    for sign in COMMENTS:
        marked = [line for line in head if line.lstrip().startswith(sign)]
        usual = Counter(_widths([line for line in head if line not in marked])).most_common(1)
        if marked and usual and usual[0][0] not in _widths(marked) and len(marked) < len(head) / 2:
            return sign
    return ""


def _widths(lines: list[str]) -> list[tuple[int, ...]]:
    return [tuple(line.count(sign) for sign in SEPARATORS[:4]) for line in lines]


def _quote(head: list[str]) -> str:
    """Return an apostrophe where values are in apostrophes and none in quotes."""
    text = "\n".join(head)
    single = len(re.findall(r"(?:^|[,;\t|])\s*'[^'\n]*'(?=\s*(?:$|[,;\t|]))", text, re.M))
    return "'" if single >= len(head) - 1 and '"' not in text else '"'


def _rows(lines: Iterator[str] | list[str], separator: str, quote: str) -> Iterator[list[str]]:
    spaced = separator == " "
    given = (re.sub(r"\s+", " ", line.strip()) if spaced else line for line in lines)
    ended = (f"{line}\n" for line in given)
    csv.field_size_limit(1 << 24)
    for row in csv.reader(ended, delimiter=separator, quotechar=quote, skipinitialspace=not spaced):
        yield [cell.strip() for cell in row]


def _separator(file: Path, head: list[str], quote: str) -> str:
    """Return the sign that cuts most lines into as many values, and into values without other separators in them."""
    if head[0].lstrip().startswith(("{", "[{")):
        raise OpsError(f"{file}: looks like JSON: save the table as CSV or Parquet")
    best, found = 0.0, ""
    for sign in SEPARATORS:
        try:
            rows = list(_rows(head, sign, quote))
        except csv.Error:
            continue
        width, lines = Counter(map(len, rows)).most_common(1)[0]
        if width == 1:
            continue
        cells = [cell for row in rows for cell in row if cell]
        clean = sum(not OTHERS.search(cell) or bool(NUMBER.fullmatch(cell)) for cell in cells)
        share = lines / len(rows) * clean / max(1, len(cells))
        if share > best + 0.01:
            best, found = share, sign
    if best < 0.6:
        text = f"its lines do not have the same number of values by any of {' '.join(map(repr, SEPARATORS))}"
        raise OpsError(f"{file}: not a table: {text}: save it as CSV with a column for the target and others")
    return found


def _has_header(rows: list[list[str]], target: str) -> bool:
    """Whether the first row is names: it has the target, or texts where the others have numbers, or unseen texts."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])] or [[]]
    if not re.fullmatch(r"[+-]?\d+", target) and target.lower() in (cell.lower() for cell in first):
        return True
    votes = 0
    for place, cell in enumerate(first):
        values = [row[place] for row in rest if len(row) > place and row[place]]
        numbers = sum(bool(NUMBER.fullmatch(value)) for value in values)
        if values and numbers > len(values) / 2:
            votes += -3 if NUMBER.fullmatch(cell) else 0 if cell in MISSING else 3
        elif values:
            votes += -1 if cell in values or NUMBER.fullmatch(cell) else 1
    return votes > 0
