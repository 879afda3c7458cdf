"""CSV text in, checked numbers out: parsed by pyarrow, checked by whole columns.

A block that does not pass is read once more as text, to tell its wrong rows from the right ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from arrow import to_numpy
from csv_blocks import Block, line_ends, mask, values_of
from csv_faults import FORM, LARGEST, Refused, fault, is_text
from job_settings import JobSettings
from numpy.typing import NDArray
from problems import TableError
from records import Floats

Mask = NDArray[np.bool_]
MOST_KNOWN = 1000
"""Wrong values that are remembered."""


@dataclass(frozen=True)
class Rows:
    """The rows of a block that are right, and those that are not."""

    features: list[Floats]
    """A column each, in the settings' order."""
    labels: Floats
    lines: NDArray[np.int64]
    refused: list[Refused] = field(default_factory=list)


def read_block(block: Block, name: str, header: list[str], settings: JobSettings, known: set[str]) -> Rows:
    """Return the rows of a block of the file called `name`; `known` are wrong values seen before, and is added to.

    Raises:
        TableError: the text is not CSV.
    """
    names = None if block.first else header
    if not block.text.strip(b"\r\n"):
        return _no_rows(settings)
    try:
        batch = _parsed(block.text, names, _types(settings))
    except pa.ArrowInvalid:
        return _sorted_out(block, name, header, settings, known)
    if batch is None:
        return _no_rows(settings)
    features = [to_numpy(batch.column(column)) for column in settings.features]
    labels, unknown = labels_of(batch.column(settings.target), settings)
    if unknown.any() or not all(map(_all_finite, (*features, labels))):
        return _sorted_out(block, name, header, settings, known)
    return Rows(features, labels, _lines(block, len(labels)))


def _no_rows(settings: JobSettings) -> Rows:
    none = np.empty(0)
    return Rows([none] * len(settings.features), none, np.empty(0, np.int64))


def _types(settings: JobSettings) -> dict[str, pa.DataType]:
    return {column: pa.float64() if column in settings.numeric else pa.string() for column in settings.columns}


def _parsed(
    text: bytes, names: list[str] | None, types: dict[str, pa.DataType], nulls: tuple[str, ...] = ()
) -> pa.RecordBatch | None:
    """Return all rows, or None when there are none; numbers written like one of `nulls` are missing."""
    table = pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=list(nulls), strings_can_be_null=False
        ),
    )
    return next(iter(table.combine_chunks().to_batches()), None)


def labels_of(target: pa.Array, settings: JobSettings) -> tuple[Floats, Mask]:
    """Return class numbers, or values for regression, and which are no class of the settings."""
    if not settings.classes:
        return to_numpy(target), np.zeros(len(target), bool)
    seen = pc.dictionary_encode(target)
    known = {name: float(number) for number, name in enumerate(settings.classes)}
    numbers = np.array([known.get(text, -1.0) for text in seen.dictionary.to_pylist()], np.float64)
    labels = numbers[to_numpy(seen.indices)]
    return labels, labels < 0


def finite(column: Floats) -> Mask:
    """Return which values are finite and fit a 32-bit float."""
    fits: Mask = np.abs(column) <= LARGEST
    return fits


def _all_finite(column: Floats) -> bool:
    # The extremes of a column with NaN are NaN, which is within no bounds.
    return bool(column.max() <= LARGEST and column.min() >= -LARGEST)


def _lines(block: Block, rows: int) -> NDArray[np.int64]:
    """Return each row's line; where no line is blank and no value has two, they follow one another."""
    ends = line_ends(block.text) + (not block.text.endswith((b"\n", b"\r")))
    if ends == rows + block.first:
        return np.arange(block.line + block.first, block.line + ends)
    return np.array([line for line, _ in block.records()][block.first :], np.int64)


def _sorted_out(block: Block, name: str, header: list[str], settings: JobSettings, known: set[str]) -> Rows:
    """Return the rows that are right, and why the others are not.

    Whole columns tell which rows are in doubt; only these are read value by value.
    """
    records = list(block.records())[block.first :]
    doubtful = _not_whole(block, [record for _, record in records], len(header))
    plain = np.flatnonzero(~doubtful)
    features = np.zeros((len(settings.features), len(records)))
    labels = np.zeros(len(records))
    if len(plain):
        text = b"\n".join(records[row][1] for row in plain)
        batch, look = _columns(text, name, header, settings, tuple(known))
        for number, column in enumerate(settings.features):
            features[number, plain], wrong = look(batch.column(column))
            doubtful[plain] |= wrong
        target = batch.column(settings.target)
        labels[plain], wrong = labels_of(target, settings) if settings.classes else look(target)
        doubtful[plain] |= wrong
    refused = []
    for row in np.flatnonzero(doubtful):
        line, record = records[row]
        values = values_of(record, name, line)
        if found := fault(header, values, settings):
            refused.append(Refused(name, line, *found, record.decode("utf-8", "backslashreplace")))
            if found[0] in settings.numeric and len(known) < MOST_KNOWN:
                known.add(values[header.index(found[0])])
            continue
        doubtful[row] = False
        given = dict(zip(header, values, strict=True))
        features[:, row] = [float(given[column]) for column in settings.features]
        label = given[settings.target]
        labels[row] = settings.classes.index(label) if settings.classes else float(label)
    right = ~doubtful
    lines = np.array([line for line, _ in records], np.int64)
    return Rows([column[right] for column in features], labels[right], lines[right], refused)


def _not_whole(block: Block, records: list[bytes], width: int) -> Mask:
    """Return which records have too many or too few values, or one that is not UTF-8."""
    quoted = b'"' in block.text
    commas = np.array([(mask(record) if quoted else record).count(b",") for record in records], np.int64)
    wrong: Mask = commas + 1 != width
    if not block.text.isascii():
        wrong |= np.array([not is_text(record.decode("utf-8", "surrogateescape")) for record in records], bool)
    return wrong


def _columns(
    text: bytes, name: str, header: list[str], settings: JobSettings, known: tuple[str, ...]
) -> tuple[pa.RecordBatch, Callable[[pa.Array], tuple[Floats, Mask]]]:
    """Return parsed text, and what turns one of its columns of numbers into these and those that are in doubt.

    Wrong values are mostly the same few: as numbers, with these missing, is the fast way. Else all is read as text.
    """
    try:
        return _parsed(text, header, _types(settings), known), numbers_of
    except pa.ArrowInvalid:
        pass
    try:
        return _parsed(text, header, dict.fromkeys(settings.columns, pa.string())), _numbers_of_text
    except pa.ArrowInvalid as error:
        raise TableError(f"{name}: {error}") from error


def numbers_of(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of numbers as 64-bit floats, and which are missing, not finite or too large."""
    missing: Mask = to_numpy(pc.cast(pc.is_null(column), pa.int8())).astype(bool)
    values = to_numpy(pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0))
    return values, missing | ~finite(values)


def _numbers_of_text(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of text as numbers, and which of them are in doubt.

    The first look is at the signs alone, which is fast and finds most; the second is by the form of a number.
    """
    signs = pc.binary_length(pc.ascii_trim(column, "0123456789.eE+-"))
    for by_form in (False, True):
        wrong = pc.or_(pc.greater(signs, 0), pc.equal(pc.binary_length(column), 0))
        if by_form:
            wrong = pc.invert(pc.match_substring_regex(column, f"^{FORM}$"))
        try:
            values = to_numpy(pc.cast(pc.if_else(wrong, "0", column), pa.float64()))
        except pa.ArrowInvalid:
            continue
        doubtful: Mask = to_numpy(pc.cast(wrong, pa.int8())).astype(bool)
        return values, doubtful | ~finite(values)
    return np.zeros(len(column)), np.ones(len(column), bool)
