"""What is wrong with a header or a value, and what to do about it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches

from job_settings import JobSettings
from problems import TableError, place, shortened

FORM = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""What counts as a number, the same as pyarrow's parser takes: no NaN, no 1_000, ASCII digits only."""
NUMBER = re.compile(rf"[ \t]*{FORM}[ \t]*")
LARGEST = 3.4028234663852886e38
"""The linear learner computes in 32-bit floats, and this is the largest (IEEE 754)."""
NOT_TEXT = "%s is not UTF-8: save the file as UTF-8"


@dataclass(frozen=True)
class Refused:
    """A row that is wrong: where it stands, why, and its text."""

    file: str
    row: int
    column: str | None
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{place(self.file, self.row, self.column)}: {self.reason}"


def check_header(header: list[str], where: str, settings: JobSettings) -> None:
    """Check that a header has every column of the settings once, in any order, and no other.

    Raises:
        TableError: naming the columns, and what to do.
    """
    for column in header:
        if not is_text(column):
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


def fault(header: list[str], values: list[str], settings: JobSettings) -> tuple[str | None, str] | None:
    """Return (column, what is wrong and what to do) of a row's first wrong value, or None."""
    if len(values) != len(header):
        return None, f"{len(values)} values, the header has {len(header)}: correct the row"
    for column, value in zip(header, values, strict=True):
        if reason := _fault(column, value, settings):
            return column, reason
    return None


def _fault(column: str, value: str, settings: JobSettings) -> str | None:
    if not is_text(value):
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


def is_text(value: str) -> bool:
    """Tell whether a value was UTF-8."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
