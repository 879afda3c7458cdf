"""CSV files in, checked numbers out: read in batches by pyarrow, checked by whole columns.

A file that does not pass is read once more, row by row, to name the place (csv_faults.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from arrow import to_numpy
from csv_faults import LARGEST, check_header, explain, line_of
from job_settings import JobSettings
from numpy.typing import NDArray
from problems import TableError, place

BLOCK_BYTES = 8 << 20
"""Text parsed at a time: large enough that pyarrow's threads have work, small enough to stay in a laptop's cache."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """All rows of all files, in the order of the files' names and of their lines."""

    features: Floats
    """Shape (rows, features), columns in the settings' order, -0.0 as 0.0."""
    labels: Floats
    """Shape (rows,): the class number, or the value for regression."""
    files: tuple[Path, ...]
    starts: NDArray[np.int64]
    """Shape (files,): the number of each file's first row."""
    root: Path

    def place(self, row: int) -> str:
        """Return file and line of a row."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        file = self.files[number]
        return place(str(file.relative_to(self.root)), line_of(file, row - int(self.starts[number])))


def read_rows(root: Path, settings: JobSettings) -> Rows:
    """Read every CSV under `root`, sorted by path.

    Raises:
        TableError: no CSV, a file that is empty or not CSV, a column missing or unknown, a value that is not a finite
            number, a label the settings do not know.
    """
    files = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() == ".csv" and path.is_file()))
    if not files:
        raise TableError(f"{root}: no file whose name ends in .csv: upload one under the data prefix")
    features: list[Floats] = []
    labels: list[Floats] = []
    starts = []
    total = 0
    for file in files:
        starts.append(total)
        for batch_features, batch_labels in _batches(file, str(file.relative_to(root)), settings):
            features.append(batch_features)
            labels.append(batch_labels)
            total += len(batch_labels)
        if total == starts[-1]:
            raise TableError(f"{file.relative_to(root)}: a header and no rows: add rows or remove the file")
    return Rows(np.concatenate(features), np.concatenate(labels), files, np.array(starts), root)


def _batches(file: Path, name: str, settings: JobSettings) -> Iterator[tuple[Floats, Floats]]:
    check_header(file, name, settings)
    types = {column: pa.float64() if column in settings.numeric else pa.string() for column in settings.columns}
    last = None
    try:
        reader = pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(settings.columns),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            if batch.num_rows:
                yield _checked(batch, settings)
                last = batch
    except (pa.ArrowInvalid, _RefusedError) as error:
        explain(file, name, settings)
        raise TableError(f"{name}: {error}") from error
    # pyarrow closes a quote left open at the end of the file, and swallows the rows after it: let the csv module look.
    if last is not None and any("\n" in str(last.column(column)[-1]) for column in settings.columns):
        explain(file, name, settings)


class _RefusedError(TableError):
    """A batch has a value that is not allowed; which one is looked up in the file."""


def _checked(batch: pa.RecordBatch, settings: JobSettings) -> tuple[Floats, Floats]:
    features = np.column_stack([to_numpy(batch.column(column)) for column in settings.features])
    features += 0.0
    target = batch.column(settings.target)
    if settings.classes:
        seen = pc.dictionary_encode(target)
        texts = seen.dictionary.to_pylist()
        if not set(texts) <= set(settings.classes):
            raise _RefusedError("a label is not one of the settings'")
        numbers = np.array([settings.classes.index(text) for text in texts], np.float64)
        labels = numbers[to_numpy(seen.indices)]
    else:
        labels = to_numpy(target) + 0.0
    if not ((np.abs(features) <= LARGEST).all() and (np.abs(labels) <= LARGEST).all()):
        raise _RefusedError("a number is not finite, or too large")
    return features, labels
