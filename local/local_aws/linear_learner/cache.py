"""A channel on disk: parsed once, normalised, then read again each epoch in batches. Memory does not grow with it."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from local_aws.linear_learner.common import Doubles, Floats

CHUNK_BYTES = 8 << 20
ROWS_AT_A_TIME = 1024  # scaled together: what a core's own cache holds


@dataclass(frozen=True)
class Scaler:
    """(x - shift) / scale for each column of (label, features...)."""

    shift: Doubles
    scale: Doubles

    @classmethod
    def fit(cls, sample: Floats, normalise: tuple[bool, bool], unbias: tuple[bool, bool]) -> "Scaler":
        """From rows at the beginning of the training data; the flags are for (the label, the features)."""
        columns = sample.shape[1]
        wide = np.array([0] + [1] * (columns - 1))
        mean = sample.mean(0, dtype=np.float64)
        deviation = np.sqrt(np.mean((sample - mean) ** 2, axis=0))
        # What does not vary beyond its own rounding is left as it is.
        varies = deviation > 1e-6 * np.abs(mean)
        shift = np.where(np.array(unbias)[wide], mean, 0.0)
        return cls(shift, np.where(np.array(normalise)[wide] & varies & (deviation > 0), deviation, 1.0))

    def apply(self, rows: Floats) -> Floats:
        """Rows scaled, and a 1 after each for the bias; computed in float64 so that a large mean costs no digits."""
        scaled = np.ones((len(rows), rows.shape[1] + 1), np.float32)
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            wide = rows[some] - self.shift
            wide /= self.scale
            scaled[some, :-1] = wide
        return scaled


class Cache:
    """Rows of (label, features..., 1) as float32 in an unlinked file in `folder`; `columns` is 2 + features."""

    def __init__(self, folder: Path, columns: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by close)
        self._columns = columns
        self.rows = 0

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def write(self, block: Floats) -> None:
        """Append a block of rows."""
        self._file.write(np.ascontiguousarray(block).data)
        self.rows += len(block)

    def chunk_rows(self, size: int) -> int:
        """Rows of a chunk that is read at once, a multiple of `size`."""
        return max(1, CHUNK_BYTES // (4 * self._columns * size)) * size

    def batches(self, size: int, stride: int = 1) -> Iterator[Floats]:
        """The rows in batches of `size`, the last of them perhaps smaller; each is valid until the next is asked for.

        With `stride` n only each n-th chunk is read.
        """
        rows = self.chunk_rows(size)
        buffer = self._buffer(rows)
        for start in range(0, self.rows, rows * stride):
            chunk = self._read(start, buffer)
            for first in range(0, len(chunk), size):
                yield chunk[first : first + size]

    def shuffled(self, size: int, order: np.random.Generator) -> Iterator[Floats]:
        """The rows in chunks of whole batches of `size`, the chunks and the rows within each in the order of `order`.

        A chunk is valid until the one after the next is asked for: one is read while another one is used.
        """
        rows = self.chunk_rows(size)
        buffer, turns = self._buffer(rows), itertools.cycle((self._buffer(rows), self._buffer(rows)))
        for start in order.permutation(np.arange(0, self.rows, rows)).tolist():
            chunk = self._read(start, buffer)
            # mode: with the default, numpy would make the copy that `out` is there to save.
            yield np.take(chunk, order.permutation(len(chunk)), axis=0, out=next(turns)[: len(chunk)], mode="clip")

    def _buffer(self, rows: int) -> Floats:
        return np.empty((min(rows, self.rows), self._columns), np.float32)

    def _read(self, start: int, buffer: Floats) -> Floats:
        chunk = buffer[: self.rows - start]
        self._file.seek(4 * self._columns * start)
        self._file.readinto(chunk.data)
        return chunk
