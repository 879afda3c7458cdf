"""Parquet files in, checked numbers out; a row's number counts from 1 in its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from csv_faults import Refused, check_header, fault
from csv_rows import Rows, labels_of, numbers_of
from job_settings import JobSettings
from problems import TableError, place


def batches(file: Path, name: str, settings: JobSettings, size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield a file's rows, about `size` bytes of numbers at a time, each with the number of its first row.

    Raises:
        TableError: not a Parquet file, a column missing or unknown, or of a type that cannot be a number or a label.
    """
    # Not at the top: it is slow to import, and most data is CSV.
    import pyarrow.parquet as pq  # noqa: PLC0415

    number = 1
    try:
        with pq.ParquetFile(file) as table:
            schema = table.schema_arrow
            check_header(schema.names, name, settings)
            for column in settings.numeric:
                kind = schema.field(column).type
                if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
                    raise TableError(f'{name}, column "{column}": {kind} is not a type of numbers: write it as double')
            rows = max(1, size // (8 * len(settings.columns)))
            wanted = [*settings.features, settings.target]
            for batch in table.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                yield number, batch
                number += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise TableError(f"{name}: {error}") from error


def read_batch(number: int, batch: pa.RecordBatch, name: str, settings: JobSettings) -> Rows:
    """Return the rows of a batch whose first row has this number in the file called `name`.

    Raises:
        TableError: a target that is no label: neither text nor an integer.
    """
    wrong = np.zeros(batch.num_rows, bool)
    columns = []
    for column in settings.numeric:
        values, doubtful = numbers_of(batch.column(column))
        wrong |= doubtful
        columns.append(values)
    if settings.classes:
        try:
            target = pc.fill_null(pc.cast(batch.column(settings.target), pa.string()), "")
        except pa.ArrowNotImplementedError as error:
            raise TableError(f"{place(name, number, settings.target)}: {error}: write labels as text") from error
        labels, unknown = labels_of(target, settings)
        wrong |= unknown
    else:
        labels = columns.pop()
    rows = np.arange(number, number + batch.num_rows)
    refused = [_refused(row, int(rows[row]), batch, name, settings) for row in np.flatnonzero(wrong).tolist()]
    right = slice(None) if not refused else ~wrong
    return Rows([column[right] for column in columns], labels[right], rows[right], refused)


def _refused(row: int, number: int, batch: pa.RecordBatch, name: str, settings: JobSettings) -> Refused:
    """Say of a row what would be said of its text."""
    given = {column: batch.column(column)[row].as_py() for column in batch.schema.names}
    values = ["" if value is None else str(value) for value in given.values()]
    column, reason = fault(list(given), values, settings) or (None, "not a row of finite numbers: correct it")
    return Refused(name, number, column, reason, json.dumps(given, default=str, ensure_ascii=False))
