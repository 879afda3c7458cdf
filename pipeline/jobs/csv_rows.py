"""CSV text in, checked numbers out: parsed by pyarrow, checked by whole columns.

A block that does not pass is read once more as text, to tell its wrong rows from the right ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from arrow import to_numpy
from csv_blocks import Block, line_ends, mask, values_of
from csv_faults import FORM, LARGEST, Refused, fault
from job_settings import JobSettings
from numpy.typing import NDArray
from problems import TableError
from records import Floats

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """The rows of a block that are right, and those that are not."""

    features: list[Floats]
    """A column each, in the settings' order."""
    labels: Floats
    lines: NDArray[np.int64]
    refused: list[Refused] = field(default_factory=list)


def read_block(block: Block, name: str, header: list[str], settings: JobSettings) -> Rows:
    """Return the rows of a block of the file called `name`.

    Raises:
        TableError: the text is not CSV.
    """
    names = None if block.first else header
    types = {column: pa.float64() if column in settings.numeric else pa.string() for column in settings.columns}
    if not block.text.strip(b"\r\n"):
        return _no_rows(settings)
    try:
        batch = _parsed(block.text, names, types)
    except pa.ArrowInvalid:
        return _sorted_out(block, name, header, settings)
    if batch is None:
        return _no_rows(settings)
    features = [to_numpy(batch.column(column)) for column in settings.features]
    labels, unknown = labels_of(batch.column(settings.target), settings)
    if unknown.any() or not all(finite(column).all() for column in (*features, labels)):
        return _sorted_out(block, name, header, settings)
    return Rows(features, labels, _lines(block, len(labels)))


def _no_rows(settings: JobSettings) -> Rows:
    none = np.empty(0)
    return Rows([none] * len(settings.features), none, np.empty(0, np.int64))


def _parsed(text: bytes, names: list[str] | None, types: dict[str, pa.DataType]) -> pa.RecordBatch | None:
    """Return all rows, or None when there are none."""
    table = pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
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


def _lines(block: Block, rows: int) -> NDArray[np.int64]:
    """Return each row's line; where no line is blank and no value has two, they follow one another."""
    ends = line_ends(block.text) + (not block.text.endswith((b"\n", b"\r")))
    if ends == rows + block.first:
        return np.arange(block.line + block.first, block.line + ends)
    return np.array([line for line, _ in block.records()][block.first :], np.int64)


def _sorted_out(block: Block, name: str, header: list[str], settings: JobSettings) -> Rows:
    """Return the rows that are right, and why the others are not.

    Whole columns tell which rows are in doubt; only these are read value by value.
    """
    records = list(block.records())[block.first :]
    doubtful = np.array([not _whole(record, len(header)) for _, record in records], bool)
    plain = np.flatnonzero(~doubtful)
    features = np.zeros((len(settings.features), len(records)))
    labels = np.zeros(len(records))
    if len(plain):
        text = b"\n".join(records[row][1] for row in plain)
        try:
            batch = _parsed(text, header, dict.fromkeys(settings.columns, pa.string()))
        except pa.ArrowInvalid as error:
            raise TableError(f"{name}: {error}") from error
        for number, column in enumerate(settings.features):
            features[number, plain], wrong = _numbers(batch.column(column))
            doubtful[plain] |= wrong
        target = batch.column(settings.target)
        labels[plain], wrong = labels_of(target, settings) if settings.classes else _numbers(target)
        doubtful[plain] |= wrong
    refused = []
    for row in np.flatnonzero(doubtful):
        line, record = records[row]
        values = values_of(record, name, line)
        if found := fault(header, values, settings):
            refused.append(Refused(name, line, *found, record.decode("utf-8", "backslashreplace")))
            continue
        doubtful[row] = False
        given = dict(zip(header, values, strict=True))
        features[:, row] = [float(given[column]) for column in settings.features]
        label = given[settings.target]
        labels[row] = settings.classes.index(label) if settings.classes else float(label)
    right = ~doubtful
    lines = np.array([line for line, _ in records], np.int64)
    return Rows([column[right] for column in features], labels[right], lines[right], refused)


def _whole(record: bytes, width: int) -> bool:
    """Tell whether a record has so many values, and all in UTF-8."""
    if mask(record).count(b",") + 1 != width:
        return False
    try:
        return record.isascii() or bool(record.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _numbers(column: pa.Array) -> tuple[Floats, Mask]:
    """Return a column of text as numbers, and which of them are in doubt.

    The first look is at the signs alone, which is fast and finds most; the second is by the form of a number.
    """
    signs = pc.binary_length(pc.ascii_trim(column, "0123456789.eE+-"))
    for look in (
        lambda: pc.or_(pc.greater(signs, 0), pc.equal(pc.binary_length(column), 0)),
        lambda: pc.invert(pc.match_substring_regex(column, f"^{FORM}$")),
    ):
        wrong = look()
        try:
            values = to_numpy(pc.cast(pc.if_else(wrong, "0", column), pa.float64()))
        except pa.ArrowInvalid:
            continue
        doubtful: Mask = to_numpy(pc.cast(wrong, pa.int8())).astype(bool)
        return values, doubtful | ~finite(values)
    return np.zeros(len(column)), np.ones(len(column), bool)
