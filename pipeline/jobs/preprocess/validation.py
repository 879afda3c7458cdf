"""Validation of a data file: its header, whole columns, and each value of the rows in doubt."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask, to_numpy
from ..shared.errors import JobError, place, shortened
from ..shared.settings import JobSettings

FORM = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""The form of a number, the same as pyarrow's parser takes: no NaN, no 1_000, ASCII digits only."""
NUMBER = re.compile(rf"[ \t]*{FORM}[ \t]*")
LARGEST = 3.4028234663852886e38  # the linear learner computes in 32-bit floats, and this is the largest (IEEE 754)
NOT_TEXT = "%s is not UTF-8: save the file as UTF-8"


@dataclass(frozen=True)
class BadRow:
    """A row that is wrong: its place, the reason, and its text."""

    file: str
    row: int
    column: str | None
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{place(self.file, self.row, self.column)}: {self.reason}"


@dataclass(frozen=True)
class Rows:
    """The valid rows of a block, and the bad ones."""

    features: list[Floats]  # a column each, in the settings' order
    labels: Floats
    lines: NDArray[np.int64]
    bad: list[BadRow] = field(default_factory=list)


def check_header(header: list[str], where: str, settings: JobSettings) -> None:
    """Check that a header has every column once, in any order, and no other. Raises JobError: what to do."""
    for column in header:
        if not is_text(column):
            raise JobError(f"{where}: {NOT_TEXT % shortened(column)}")
    unknown = [column for column in header if column not in settings.columns]
    missing = []
    for column in settings.columns:
        if column not in header:
            near = get_close_matches(column, unknown, 1)
            missing.append(f'"{column}"' + (f" (is it {shortened(near[0])}?)" if near else ""))
    if missing:
        hint = ": is the separator a comma?" if len(header) == 1 else ": add it to the file or correct the header"
        raise JobError(f"{where}: missing column {_some(missing)}{hint}")
    if unknown:
        names = _some([shortened(column) for column in unknown])
        raise JobError(f"{where}: unknown column {names}: remove it, or name it in data.id_columns")
    if len(header) != len(set(header)):
        twice = sorted({column for column in header if header.count(column) > 1})
        raise JobError(f'{where}, column "{twice[0]}": is in the header more than once: remove one')


def check_columns(
    batch: pa.RecordBatch, settings: JobSettings, check: Callable[[pa.Array], tuple[Floats, Mask]]
) -> tuple[list[Floats], Floats, Mask]:
    """Return features, labels, and which rows are in doubt; `check` turns a column into numbers, and says the same."""
    columns, doubtful = [], np.zeros(batch.num_rows, bool)
    for column in settings.numeric:
        values, wrong = check(batch.column(column))
        columns.append(values)
        doubtful |= wrong
    if not settings.classes:
        return columns[:-1], columns[-1], doubtful
    target = pc.dictionary_encode(batch.column(settings.target))
    known = {name: float(number) for number, name in enumerate(settings.classes)}
    classes = np.array([known.get(text, -1.0) for text in target.dictionary.to_pylist()], np.float64)
    labels = classes[to_numpy(target.indices)]
    return columns, labels, doubtful | (labels < 0)


def check_numbers(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of numbers as 64-bit floats, and which are missing, not finite or too large."""
    wrong = np.zeros(len(column), bool)
    if column.null_count:
        wrong |= to_numpy(pc.cast(pc.is_null(column), pa.int8())).astype(bool)
        column = pc.fill_null(column, 0)
    values = to_numpy(pc.cast(column, pa.float64(), safe=False))
    # The extremes of a column with NaN are NaN, which no comparison holds for.
    if not (values.max(initial=0.0) <= LARGEST and values.min(initial=0.0) >= -LARGEST):
        wrong |= ~(np.abs(values) <= LARGEST)
    return values, wrong


def check_texts(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of text as numbers, and which of them are in doubt: by their characters, else by their form."""
    characters = pc.binary_length(pc.ascii_trim(column, "0123456789.eE+-"))
    wrong = pc.or_(pc.greater(characters, 0), pc.equal(pc.binary_length(column), 0))
    try:
        numbers = pc.cast(pc.if_else(wrong, "0", column), pa.float64())
    except pa.ArrowInvalid:
        wrong = pc.invert(pc.match_substring_regex(column, f"^{FORM}$"))
        numbers = pc.cast(pc.if_else(wrong, "0", column), pa.float64())
    values = to_numpy(numbers)
    return values, to_numpy(pc.cast(wrong, pa.int8())).astype(bool) | ~(np.abs(values) <= LARGEST)


def first_fault(header: list[str], values: list[str], settings: JobSettings) -> tuple[str | None, str] | None:
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
    if column == settings.target and settings.classes and value not in settings.classes:
        allowed = ", ".join(f'"{label}"' for label in settings.classes)
        return f"{shortened(value)} is not a label of the settings ({allowed}): correct it"
    if column not in settings.numeric:
        return None
    if not value.strip():
        return "empty, a finite number is wanted: fill it in or remove the row"
    if not NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        return f"{shortened(value)} is not a finite number: correct it or remove the row"
    too_large = f"{shortened(value)} is too large for a 32-bit float (3.4e38): use another unit"
    return too_large if abs(float(value)) > LARGEST else None


def is_text(value: str) -> bool:
    """Return whether a value, decoded with "surrogateescape", was UTF-8."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
