"""A small two-column problem, the same for every job's tests."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.jobs.preprocess.data_files import DataFiles, Quarantine
from pipeline.jobs.preprocess.records import Records
from pipeline.jobs.shared.settings import GateSettings, JobSettings, settings_of

DOCUMENT: dict[str, Any] = tomllib.loads(Path(__file__).with_name("settings.toml").read_text("utf-8"))
HEADER = "customer,age,visits,bought"


def write_settings(folder: Path, memory_mb: float = 512, training: dict[str, Any] | None = None, **data: Any) -> Path:
    """Write the settings with changes of the tables `data` and `training`, and return their file."""
    changed = {"data": {**DOCUMENT["data"], **data}, "training": {**DOCUMENT["training"], **(training or {})}}
    path = folder / "settings.json"
    path.write_text(json.dumps({**DOCUMENT, **changed, "processing": {"memory_mb": memory_mb}}), encoding="utf-8")
    return path


def read_rows(folder: Path, settings: JobSettings) -> tuple[Records, list[str]]:
    """All rows of a folder, and the names of its files."""
    files = DataFiles(folder, settings)
    read = [records.words for records in files.records(Quarantine(folder / "quarantine.jsonl", settings.bad_rows))]
    return Records(np.concatenate(read)), files.names


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return write_settings(tmp_path)


@pytest.fixture(scope="session")
def settings() -> JobSettings:
    return settings_of(DOCUMENT)


@pytest.fixture(scope="session")
def regression(settings: JobSettings) -> JobSettings:
    gate = GateSettings({}, {"rmse": 9.0}, 0.01, 0.95)
    return dataclasses.replace(settings, predictor_type="regressor", classes=(), gate=gate)


@pytest.fixture(scope="session")
def multiclass(settings: JobSettings) -> JobSettings:
    gate = GateSettings({"accuracy": 0.5}, {}, 0.01, 0.95)
    classes = ("no", "yes", "later")
    return dataclasses.replace(settings, predictor_type="multiclass_classifier", classes=classes, gate=gate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    return path


@pytest.fixture
def shop(folder: Path, table: list[str]) -> Path:
    """The folder with the table in shop.csv."""
    (folder / "shop.csv").write_text("\n".join(table))
    return folder


@pytest.fixture(scope="session")
def table() -> list[str]:
    """Lines of a CSV with 60 rows, no two alike, both labels in every part."""
    generator = np.random.default_rng(3)
    rows = zip(generator.uniform(18, 90, 60).round(2), generator.normal(0, 5, 60), strict=True)
    return [HEADER, *(f"c{n},{age!s},{visits!s},{'yes' if n % 2 else 'no'}" for n, (age, visits) in enumerate(rows))]
