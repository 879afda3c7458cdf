"""Columns between pyarrow and numpy without pyarrow's own conversion, which imports pandas: 0.7 s of a job's start."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def to_numpy(column: pa.Array) -> NDArray[Any]:
    """Return a column of numbers without nulls as a read-only array over the same memory."""
    return np.from_dlpack(column)


def positions(indices: pa.Array, missing: int) -> NDArray[Any]:
    """Return a column of whole numbers, `missing` where one is null."""
    if not indices.null_count:
        return to_numpy(indices)
    return to_numpy(pc.fill_null(pc.cast(indices, pa.int64()), missing))


def to_table(column: pa.Array, width: int) -> NDArray[Any] | None:
    """Return numbers (rows,), or with a width lists of this length (rows, width); None where one is null or another."""
    if width:
        if column.null_count or (to_numpy(column.value_lengths()) != width).any():
            return None
        column = column.flatten()
    return None if column.null_count else to_numpy(column).reshape((-1, width) if width else -1)


def to_arrow(values: NDArray[Any]) -> pa.Array:
    """Return a one-dimensional array of float64 or int64 as a column."""
    kind = pa.int64() if values.dtype == np.int64 else pa.float64()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
