"""The slow look at a CSV file: row by row with the standard library, to name the place of what is wrong."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from job_settings import JobSettings
from problems import TableError, place, shortened

NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*")
"""What counts as a number, the same as pyarrow's parser takes: no NaN, no 1_000, ASCII digits only."""
DIGITS = re.compile(r"[0-9.eE+\- \t]*")
"""The characters numbers are made of."""
LARGEST = 3.4028234663852886e38
"""The linear learner computes in 32-bit floats, and this is the largest (IEEE 754)."""
NOT_TEXT = "%s is not UTF-8: save the file as UTF-8"


def records(file: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number of the record's first line, values) for each record, the header included.

    Raises:
        TableError: a quote is left open or misplaced.
    """
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(text, strict=True)
        start = 1
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise TableError(
                    f"{place(name, start)}: {error}: close the quote, double a quote in a value"
                ) from error
            if values:
                yield start, values
            start = reader.line_num + 1


def line_of(file: Path, row: int) -> int:
    """Return the line number of a data row, counted from 0 without the header."""
    for number, (line, _) in enumerate(records(file, file.name), -1):
        if number == row:
            return line
    raise IndexError(f"{file} has no data row {row}")


def check_header(file: Path, name: str, settings: JobSettings) -> None:
    """Check that the header has every column of the settings once, in any order, and no other.

    Raises:
        TableError: naming the columns, and what to do.
    """
    row, header = next(records(file, name), (0, []))
    if not header:
        raise TableError(f"{name}: the file is empty: it needs a header and rows")
    where = place(name, row)
    for column in header:
        if not _is_text(column):
            raise TableError(f"{where}: {NOT_TEXT % shortened(column)}")
    missing = [column for column in settings.columns if column not in header]
    unknown = [column for column in header if column not in settings.columns]
    if missing:
        near = {column: get_close_matches(column, unknown, 1) for column in missing}
        told = [
            f'"{column}"' + (f" (is it {shortened(near[column][0])}?)" if near[column] else "") for column in missing
        ]
        hint = ": is the separator a comma?" if len(header) == 1 else ": add it to the file or correct the header"
        raise TableError(f"{where}: missing column {_some(told)}{hint}")
    if unknown:
        told = [shortened(column) for column in unknown]
        raise TableError(f"{where}: unknown column {_some(told)}: remove it, or name it in data.id_columns")
    if len(header) != len(set(header)):
        twice = sorted({column for column in header if header.count(column) > 1})
        raise TableError(f'{where}, column "{twice[0]}": stands in the header more than once: remove one')


def explain(file: Path, name: str, settings: JobSettings) -> None:
    """Raise TableError at the first row that is wrong; return when there is none."""
    rows = records(file, name)
    _, header = next(rows)
    numeric = [index for index, column in enumerate(header) if column in settings.numeric]
    others = [index for index in range(len(header)) if index not in numeric]
    for line, values in rows:
        if len(values) != len(header):
            raise TableError(
                f"{place(name, line)}: {len(values)} values, the header has {len(header)}: correct the row"
            )
        plain = _plain([values[index] for index in numeric])
        for index in others if plain else range(len(header)):
            fault = _fault(header[index], values[index], settings)
            if fault:
                raise TableError(f"{place(name, line, header[index])}: {fault}")


def _plain(values: list[str]) -> bool:
    """Tell by a quick look that a row's numbers are right; a few right rows fail it and are looked at closely."""
    try:
        return bool(DIGITS.fullmatch("".join(values))) and sum(map(abs, map(float, values))) <= LARGEST
    except ValueError:
        return False


def _fault(column: str, value: str, settings: JobSettings) -> str | None:
    """Return what is wrong with a value and what to do, or None."""
    if not _is_text(value):
        return NOT_TEXT % shortened(value)
    if column in settings.numeric:
        return _number_fault(value)
    if column == settings.target and value not in settings.classes:
        allowed = ", ".join(f'"{label}"' for label in settings.classes)
        return f"{shortened(value)} is not a label of the settings ({allowed}): correct it"
    return None


def _number_fault(value: str) -> str | None:
    if not value.strip():
        return "empty, a finite number is wanted: fill it in or remove the row"
    if not NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        return f"{shortened(value)} is not a finite number: correct it or remove the row"
    if abs(float(value)) > LARGEST:
        return f"{shortened(value)} is too large for a 32-bit float (3.4e38): use another unit"
    return None


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
