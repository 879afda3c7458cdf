"""The predictions of a transform job, and the labels of the same rows, line by line."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..shared.arrow import to_table
from ..shared.errors import JobError, place, shortened
from ..shared.json_lines import Block, read_blocks
from ..shared.metrics import Numbers, Predictions, RowsByFile
from ..shared.settings import JobSettings


def read_predictions(directory: Path, settings: JobSettings, rows: str = "holdout") -> Predictions:
    """Return the answers of every `.out` file under a directory, by path, whose name has `rows` in it.

    Raises JobError: no file, no valid answer.
    """
    columns = [_Column("score", width=settings.score_width)]
    if settings.classes:
        columns.append(_Column("predicted_label", classes=len(settings.classes)))
    (scores, *classes), by_file = _read(directory, f"{rows}*.out", columns)
    return Predictions(scores, classes[0] if classes else None, by_file)


def read_labels(directory: Path, settings: JobSettings) -> tuple[Numbers, RowsByFile]:
    """Return the labels of every `.jsonl` file under a directory, by path, and the rows by file.

    Raises JobError: no file, a line that is not JSON with a label, or labels that no metric is defined for.
    """
    (labels,), rows = _read(directory, ".jsonl", [_Column("label", classes=len(settings.classes))])
    if not len(labels) or labels.min() == labels.max():
        raise JobError(f"{directory}: every one of the {len(labels)} labels is the same: nothing to measure")
    return labels, rows


@dataclass(frozen=True)
class _Column:
    key: str
    classes: int = 0  # a class number from 0 to below this; 0: any finite number
    width: int = 0  # the length of the list of numbers on each line; 0: a number

    def shaped(self, values: NDArray[Any] | list[float]) -> Numbers:
        """Return all lines' values, shape (rows,) or (rows, width)."""
        # Class numbers are read as fractions: containers of 2019 answered 0.0, later ones 0.
        kind = np.min_scalar_type(-self.classes) if self.classes else np.dtype(np.float64)
        return np.array(values, kind).reshape((-1, self.width) if self.width else -1)

    def array(self, column: pa.Array) -> Numbers | None:
        """Return the values; None when a line lacks a valid one."""
        values = to_table(column, self.width)
        if values is None or not np.isfinite(values).all():
            return None
        return self.shaped(values) if not self.classes or np.isin(values, np.arange(self.classes)).all() else None

    def value(self, where: str, document: dict[str, Any]) -> list[float]:
        """Return the value of one line, or its values. Raises JobError: it is not valid."""
        found: Any = document.get(self.key)
        if self.width and (not isinstance(found, list) or len(found) != self.width):
            wanted = f"a list of {self.width} numbers"
            raise JobError(f"{where}: {self.key} must be {wanted}: is it this model's answer?")
        numbers: list[float] = found if self.width else [found]
        wanted = f"want a class from 0 to {self.classes - 1}" if self.classes else "a finite number is wanted"
        for number in numbers:
            valid = type(number) in (int, float) and math.isfinite(number)
            if not valid or (self.classes and number not in range(self.classes)):
                raise JobError(f"{where}: {self.key} is {shortened(json.dumps(number))}, {wanted}")
        return numbers


def _read(directory: Path, suffix: str, columns: list[_Column]) -> tuple[list[Numbers], RowsByFile]:
    parts: list[list[Numbers]] = []
    rows: RowsByFile = {}
    for block in read_blocks(directory, suffix):
        parts.append(_fast(block, columns) or _line_by_line(block, columns))
        rows[block.file] = rows.get(block.file, 0) + len(parts[-1][0])
    if not parts:
        raise JobError(f"{directory}: no file like *{suffix}: did the job before this one end?")
    return [np.concatenate(column) for column in zip(*parts, strict=True)], rows


def _fast(block: Block, columns: list[_Column]) -> list[Numbers] | None:
    kinds = [pa.list_(pa.float64()) if column.width else pa.float64() for column in columns]
    found = block.columns(pa.schema([(column.key, kind) for column, kind in zip(columns, kinds, strict=True)]))
    if found is None:
        return None
    arrays = [column.array(values) for column, values in zip(columns, found, strict=True)]
    return None if any(array is None for array in arrays) else arrays  # type: ignore[return-value]


def _line_by_line(block: Block, columns: list[_Column]) -> list[Numbers]:
    """Read a block that has a fault, or blank lines, with an error that names the line."""
    kept: list[list[float]] = [[] for _ in columns]
    for number, _, document in block.documents():
        where = place(block.file, number)
        if not isinstance(document, dict):
            raise JobError(f"{where}: not a JSON object: run the job before this one again")
        for column, values in zip(columns, kept, strict=True):
            values.extend(column.value(where, document))
    return [column.shaped(values) for column, values in zip(columns, kept, strict=True)]
