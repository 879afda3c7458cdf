"""Parquet files: rows in batches, checked by whole columns; a row's number counts from 1 in its file."""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..shared.errors import BadFile
from ..shared.settings import JobSettings
from .hints import check_header
from .levels import Levels
from .validation import Cells, Columns, Rows


def read_parquet(
    file: Path, name: str, size: int, settings: JobSettings, levels: Levels
) -> Iterator[Callable[[], Rows]]:
    """Yield a function per batch of about `size` bytes of the file called `name`, which reads its rows in any thread.

    Raises BadFile: not a Parquet file, a column missing or unknown, or of a type for no value of its kind.
    """
    # Not at the top: it is slow to import, and most data is CSV.
    import pyarrow.parquet as pq  # noqa: PLC0415

    number = 1
    try:
        with pq.ParquetFile(file) as table:
            names = table.schema_arrow.names
            check_header(names, name, settings)
            by_all = settings.target and not settings.id_columns  # a row is known by all its columns
            wanted = [column for column in names if by_all or column in settings.columns]
            rows = max(1, size // (8 * len(wanted)))
            for batch in table.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                yield partial(_read_batch, number, batch, name, settings, levels)
                number += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadFile(f"{name}: {error}") from error


def _read_batch(number: int, batch: pa.RecordBatch, name: str, settings: JobSettings, levels: Levels) -> Rows:
    """Return the rows of a batch whose first row has this number."""
    columns = {}
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        numeric = settings.reading.get(column, ("", False))[0] == "numeric"
        try:
            columns[column] = _numbers(values) if numeric and not _is_text(values.type) else _texts(values)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if column not in settings.columns:
                columns[column] = _written(values)
                continue
            wanted = "numbers: write it as double" if numeric else "values that are texts: write it as string"
            where = f'{name}, column "{column}"'
            raise BadFile(f"{where}: {values.type} is not a type of {wanted}") from error
    found = Columns.of(columns, columns, settings, levels)

    def cells(row: int) -> Cells:
        given = {column: batch.column(column)[row].as_py() for column in batch.schema.names}
        texts = {column: _shown(value) for column, value in given.items()}
        return Cells(json.dumps(given, default=str, ensure_ascii=False), texts)

    return found.rows(name, np.arange(number, number + batch.num_rows), cells, settings, start=number == 1)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(column: pa.Array) -> pa.Array:
    """Return numbers as 64-bit floats, null where missing, which NaN is too. Raises ArrowInvalid."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        if pa.types.is_boolean(column.type):
            column = pc.cast(column, pa.int8())
        elif not pa.types.is_null(column.type):
            raise pa.ArrowInvalid(str(column.type))
    numbers = pc.cast(column, pa.float64(), safe=False)
    missing = pc.is_nan(numbers)
    return pc.if_else(missing, None, numbers) if pc.any(missing).as_py() else numbers


def _texts(column: pa.Array) -> pa.Array:
    """Return values as text, "" where missing. Raises ArrowInvalid, ArrowNotImplementedError: they have no text."""
    if pa.types.is_dictionary(column.type):
        if pa.types.is_string(column.type.value_type) and not column.dictionary.null_count:
            return column
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = _numbers(column)
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _written(column: pa.Array) -> pa.Array:
    """Return lists, structs or bytes as text: a row is known by them, too."""
    values = (None if value is None else json.dumps(value, default=str) for value in column.to_pylist())
    return pc.fill_null(pa.array(values, pa.string()), "")


def _shown(value: object) -> str:
    nothing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if nothing else str(value).strip()
