"""Parquet files: rows in batches, checked by whole columns; a row's number counts from 1 in its file."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..shared.errors import JobError, place
from ..shared.settings import JobSettings
from .validation import BadRow, Rows, check_columns, check_header, check_numbers, first_fault


def read_parquet(file: Path, name: str, size: int, settings: JobSettings) -> Iterator[Callable[[], Rows]]:
    """Yield a function per batch of about `size` bytes of the file called `name`, which reads its rows in any thread.

    Raises JobError: not a Parquet file, a column missing or unknown, or of a type for neither numbers nor labels.
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
                    where = f'{name}, column "{column}"'
                    raise JobError(f"{where}: {kind} is not a type of numbers: write it as double")
            rows, wanted = max(1, size // (8 * len(settings.columns))), [*settings.features, settings.target]
            for batch in table.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                yield partial(_read_batch, number, batch, name, settings)
                number += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise JobError(f"{name}: {error}") from error


def _read_batch(number: int, batch: pa.RecordBatch, name: str, settings: JobSettings) -> Rows:
    """Return the rows of a batch whose first row has this number."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if settings.classes:
        try:
            columns[settings.target] = pc.fill_null(pc.cast(columns[settings.target], pa.string()), "")
        except pa.ArrowNotImplementedError as error:
            raise JobError(f"{place(name, number, settings.target)}: {error}: write labels as text") from error
    features, labels, wrong = check_columns(pa.RecordBatch.from_pydict(columns), settings, check_numbers)
    rows = np.arange(number, number + batch.num_rows)
    bad = [_bad_row(row, int(rows[row]), batch, name, settings) for row in np.flatnonzero(wrong).tolist()]
    valid = ~wrong if bad else slice(None)
    return Rows([column[valid] for column in features], labels[valid], rows[valid], bad)


def _bad_row(row: int, number: int, batch: pa.RecordBatch, name: str, settings: JobSettings) -> BadRow:
    """Return a row with the fault that its text would have in a CSV file."""
    given = {column: batch.column(column)[row].as_py() for column in batch.schema.names}
    values = ["" if value is None else str(value) for value in given.values()]
    column, reason = first_fault(list(given), values, settings) or (None, "not a row of finite numbers: correct it")
    return BadRow(name, number, column, reason, json.dumps(given, default=str, ensure_ascii=False))
