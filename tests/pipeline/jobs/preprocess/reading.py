"""Files written and read back, for the tests of the readers."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.jobs.preprocess.csv_reader import read_csv
from pipeline.jobs.preprocess.levels import Levels
from pipeline.jobs.preprocess.parquet_reader import read_parquet
from pipeline.jobs.preprocess.validation import Rows
from pipeline.jobs.shared.settings import JobSettings, settings_of
from tests.pipeline.jobs.conftest import DOCUMENT

HEADER = "customer,age,visits,bought\n"


def settings_with(**data: Any) -> JobSettings:
    """The settings of the tests with changes of the table `data`; of a table in it only the keys given."""
    document = copy.deepcopy(DOCUMENT)
    for key, value in data.items():
        if isinstance(value, Mapping):
            document["data"][key] |= value
        else:
            document["data"][key] = value
    return settings_of(document)


def read_blocks(file: Path, settings: JobSettings, size: int = 1 << 20) -> tuple[list[Rows], Levels]:
    """The blocks of a file, and the levels of its categories."""
    levels = Levels(settings.features, settings.levels.maximum)
    if file.suffix == ".parquet":
        blocks = read_parquet(file, file.name, size, settings, levels)
    else:
        blocks = read_csv(file, file.name, size, settings, levels, as_text=set())
    return [read() for read in blocks], levels


def read_values(file: Path, settings: JobSettings, size: int = 1 << 20) -> list[list[Any]]:
    """Each valid row: features, categories as text and None where missing, and the label."""
    blocks, levels = read_blocks(file, settings, size)
    columns: list[list[Any]] = []
    for number, (name, kind) in enumerate(zip(settings.features, settings.kinds, strict=True)):
        values = np.concatenate([rows.features[number] for rows in blocks]).tolist()
        texts = levels.of(name) if kind == "categorical" else []
        columns.append([None if np.isnan(value) else texts[int(value)] if texts else value for value in values])
    labels = np.concatenate([rows.labels for rows in blocks]).tolist()
    return [list(row) for row in zip(*columns, labels, strict=True)]
