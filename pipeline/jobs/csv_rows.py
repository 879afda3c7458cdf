"""CSV text in, checked numbers out: parsed by pyarrow, checked by whole columns.

Wrong values are mostly the same few: those seen before are parsed as missing, and only rows in doubt are read value by
value. A block that does not parse even so is read as text, to tell its wrong rows from the right ones.
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
Look = Callable[[pa.Array], tuple[Floats, Mask]]
"""Turns a column into numbers, and tells which of them are in doubt."""
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


@dataclass(frozen=True)
class _Doubt:
    """The records of a block, their numbers (of shape (features, rows) and (rows,)), and which are in doubt."""

    records: list[tuple[int, bytes]]
    features: Floats
    labels: Floats
    doubtful: Mask


def read_block(block: Block, name: str, header: list[str], settings: JobSettings, known: set[str]) -> Rows:
    """Return the rows of a block of the file called `name`; `known` are wrong values seen before, and is added to.

    Raises:
        TableError: the text is not CSV.
    """
    names = None if block.first else header
    if not block.text.strip(b"\r\n"):
        return _no_rows(settings)
    try:
        batch = _parsed(block.text, names, _types(settings), tuple(known))
    except pa.ArrowInvalid:
        return _sorted_out(block, name, header, settings, known)
    if batch is None:
        return _no_rows(settings)
    features, labels, doubtful = _columns(batch, numbers_of, settings)
    if not doubtful.any():
        return Rows(features, labels, _lines(block, len(labels)))
    records = block.records()[block.first :]
    if len(records) != len(labels):
        return _sorted_out(block, name, header, settings, known)
    return _judged(_Doubt(records, np.array(features), np.array(labels), doubtful), name, header, settings, known)


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
    """Return class numbers, and which are no class of the settings."""
    seen = pc.dictionary_encode(target)
    known = {name: float(number) for number, name in enumerate(settings.classes)}
    numbers = np.array([known.get(text, -1.0) for text in seen.dictionary.to_pylist()], np.float64)
    labels = numbers[to_numpy(seen.indices)]
    return labels, labels < 0


def _lines(block: Block, rows: int) -> NDArray[np.int64]:
    """Return each row's line; where no line is blank and no value has two, they follow one another."""
    ends = line_ends(block.text) + (not block.text.endswith((b"\n", b"\r")))
    if ends == rows + block.first:
        return np.arange(block.line + block.first, block.line + ends)
    return np.array([line for line, _ in block.records()][block.first :], np.int64)


def _sorted_out(block: Block, name: str, header: list[str], settings: JobSettings, known: set[str]) -> Rows:
    """Return the rows of a block that does not parse as it is."""
    records = block.records()[block.first :]
    doubtful = _not_whole(block, [record for _, record in records], len(header))
    whole = np.flatnonzero(~doubtful)
    features, labels = np.zeros((len(settings.features), len(records))), np.zeros(len(records))
    if len(whole):
        text = b"\n".join([records[row][1] for row in whole])
        look = numbers_of
        try:
            batch = _parsed(text, header, _types(settings), tuple(known))
        except pa.ArrowInvalid:
            look = _numbers_of_text
            batch = _texts(text, name, header, settings)
        if batch is None or batch.num_rows != len(whole):
            raise TableError(f"{name}: a value has quotes in it that are not doubled: see from row {block.line} on")
        columns, labels[whole], doubtful[whole] = _columns(batch, look, settings)
        features[:, whole] = columns
    return _judged(_Doubt(records, features, labels, doubtful), name, header, settings, known)


def _texts(text: bytes, name: str, header: list[str], settings: JobSettings) -> pa.RecordBatch | None:
    try:
        return _parsed(text, header, dict.fromkeys(settings.columns, pa.string()))
    except pa.ArrowInvalid as error:
        raise TableError(f"{name}: {error}") from error


def _columns(batch: pa.RecordBatch, look: Look, settings: JobSettings) -> tuple[list[Floats], Floats, Mask]:
    """Return features, labels, and which rows are in doubt."""
    columns, doubtful = [], np.zeros(batch.num_rows, bool)
    for column in settings.numeric:
        values, wrong = look(batch.column(column))
        columns.append(values)
        doubtful |= wrong
    if not settings.classes:
        return columns[:-1], columns[-1], doubtful
    labels, unknown = labels_of(batch.column(settings.target), settings)
    return columns, labels, doubtful | unknown


def _judged(doubt: _Doubt, name: str, header: list[str], settings: JobSettings, known: set[str]) -> Rows:
    """Return the rows that are right, after reading those in doubt value by value, and why the others are not."""
    refused = []
    right = ~doubt.doubtful
    for row in np.flatnonzero(doubt.doubtful):
        line, record = doubt.records[row]
        values = values_of(record, name, line)
        if found := fault(header, values, settings):
            refused.append(Refused(name, line, *found, record.decode("utf-8", "backslashreplace")))
            if found[0] in settings.numeric and len(known) < MOST_KNOWN:
                known.add(values[header.index(found[0])])
            continue
        right[row] = True
        given = dict(zip(header, values, strict=True))
        doubt.features[:, row] = [float(given[column]) for column in settings.features]
        label = given[settings.target]
        doubt.labels[row] = settings.classes.index(label) if settings.classes else float(label)
    lines = np.array([line for line, _ in doubt.records], np.int64)
    return Rows([column[right] for column in doubt.features], doubt.labels[right], lines[right], refused)


def _not_whole(block: Block, records: list[bytes], width: int) -> Mask:
    """Return which records have too many or too few values, or one that is not UTF-8."""
    quoted = b'"' in block.text
    commas = np.array([(mask(record) if quoted else record).count(b",") for record in records], np.int64)
    wrong: Mask = commas + 1 != width
    if not block.text.isascii():
        wrong |= np.array([not is_text(record.decode("utf-8", "surrogateescape")) for record in records], bool)
    return wrong


def numbers_of(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of numbers as 64-bit floats, and which are missing, not finite or too large."""
    wrong = np.zeros(len(column), bool)
    if column.null_count:
        wrong |= to_numpy(pc.cast(pc.is_null(column), pa.int8())).astype(bool)
        column = pc.fill_null(column, 0)
    values = to_numpy(pc.cast(column, pa.float64(), safe=False))
    # The extremes of a column with NaN are NaN, which is within no bounds.
    if not (values.max(initial=0.0) <= LARGEST and values.min(initial=0.0) >= -LARGEST):
        wrong |= ~(np.abs(values) <= LARGEST)
    return values, wrong


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
        return values, doubtful | ~(np.abs(values) <= LARGEST)
    return np.zeros(len(column)), np.ones(len(column), bool)
