"""The generated data that both sides of a measurement read: a logistic model of 30 features, seeded, as CSV."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

FEATURES = 30
_CHUNK = 100_000


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Label first, no header, six decimals: about 295 bytes a row.

    Args:
        path: The file.
        rows: How many; the first n rows of a longer file are those of a shorter one.
        seed: Of the features and labels; the true weights are always the same.
    """
    weights = np.random.default_rng(0).normal(size=FEATURES) * 0.4
    scale, shift = np.logspace(-0.5, 1, FEATURES), np.linspace(-3, 3, FEATURES)
    options = csv.WriteOptions(include_header=False)
    with path.open("wb") as file:
        for start in range(0, rows, _CHUNK):
            random = np.random.default_rng([seed, start])
            features = random.normal(size=(min(_CHUNK, rows - start), FEATURES))
            label = random.random(len(features)) < 1 / (1 + np.exp(-features @ weights + 0.5))
            table = np.round(features * scale + shift, 6)
            columns = [pa.array(label.astype(np.int8)), *(pa.array(column) for column in table.T)]
            csv.write_csv(pa.table(columns, names=[str(i) for i in range(FEATURES + 1)]), file, options)
