"""Generated data for both sides of a comparison: a logistic model of 30 features, seeded, as CSV or JSON lines."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from bench.columns import CLASSES, FEATURES, LEVELS, NAMES, TARGET
from pipeline.jobs.preprocess import recordio

DUPLICATES = 100
"""The last rows of each chunk of a raw file are in every other raw file, too, for the preprocessing to drop."""
SHARED = 1_000_000
"""The seed of the first chunk's."""
_CHUNK = 100_000
_LEVELS = pa.array([f"word {number:02}" for number in range(LEVELS)])


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Write the label first, no header, six decimals: about 295 bytes per row.

    Args:
        path: The file.
        rows: The number of rows; the first n rows of a longer file are those of a shorter file.
        seed: The seed of the features and labels; the true weights are always the same.
    """
    options = csv.WriteOptions(include_header=False)
    with path.open("wb") as file:
        for label, table in _chunks(rows, seed):
            columns = [pa.array(label.astype(np.int8)), *(pa.array(column) for column in table.T)]
            csv.write_csv(pa.table(columns, names=[str(i) for i in range(FEATURES + 1)]), file, options)


def write_recordio(path: Path, rows: int, seed: int) -> None:
    """Write the rows of `write_csv` as preprocessing writes them for training: 32-bit floats in recordio-protobuf."""
    with path.open("wb") as file:
        for label, table in _chunks(rows, seed):
            file.write(recordio.frames(label.astype(np.int8), table))


def write_raw(path: Path, rows: int, seed: int, words: int = 0) -> int:
    """Write a file as a user uploads it: a header, the label last and a word; returns its bytes.

    Some rows are those of every such file, as in tables that were uploaded twice. The last `words` features are words
    about as long as the numbers, of LEVELS different ones each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = FEATURES - words
    kinds = [pa.float64()] * numbers + [pa.string()] * (words + 1)
    schema = pa.schema(zip([*NAMES, TARGET], kinds, strict=True))
    with path.open("wb") as file, csv.CSVWriter(file, schema) as writer:
        for number, (label, table) in enumerate(_chunks(rows, seed)):
            label[-DUPLICATES:], table[-DUPLICATES:] = next(_chunks(DUPLICATES, SHARED + number))
            columns = [pa.array(column) for column in table.T[:numbers]]
            levels = np.abs(table.T[numbers:] * 1e6).astype(np.int64) % LEVELS
            columns += [_LEVELS.take(pa.array(level)) for level in levels]
            labels = pa.array(np.array(CLASSES)[label.astype(np.int8)])
            writer.write_table(pa.table([*columns, labels], schema=schema))
    return path.stat().st_size


def write_features(path: Path, rows: int, names: Sequence[str]) -> None:
    """Write a file to score: a header, ids and the features of the rows of `write_lines` with the seed 0."""
    schema = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in names)])
    with path.open("wb") as file, csv.CSVWriter(file, schema) as writer:
        for number, (_, table) in enumerate(_chunks(rows, 0)):
            ids = pa.array(range(number * _CHUNK, number * _CHUNK + len(table)))
            writer.write_table(pa.table([ids, *(pa.array(column) for column in table.T)], schema=schema))


def write_lines(path: Path, rows: int, seed: int) -> None:
    """Write a hold-out: JSON lines of the features alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _, table in _chunks(rows, seed):
            file.writelines(b'{"features":%b}\n' % json.dumps(row).encode() for row in table.tolist())


def _chunks(rows: int, seed: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    weights = np.random.default_rng(0).normal(size=FEATURES) * 0.4
    scale, shift = np.logspace(-0.5, 1, FEATURES), np.linspace(-3, 3, FEATURES)
    for start in range(0, rows, _CHUNK):
        random = np.random.default_rng([seed, start])
        features = random.normal(size=(min(_CHUNK, rows - start), FEATURES))
        label = random.random(len(features)) < 1 / (1 + np.exp(-features @ weights + 0.5))
        yield label, np.round(features * scale + shift, 6)
