"""Rows that do not fit in memory come back in groups, in the order of their keys."""

import dataclasses
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.preprocess import data_files
from pipeline.jobs.preprocess.data_files import DataFiles
from pipeline.jobs.preprocess.external_sort import FREED, ExternalSort, loaded
from pipeline.jobs.preprocess.records import Ordered, Records
from pipeline.jobs.preprocess.sorted_rows import SortedRows
from pipeline.jobs.shared.settings import JobSettings

WIDTH, MEMORY = 4, 32 * 1000
"""A thousand rows fit."""


def rows_of(keys: np.ndarray) -> Records:
    words = np.zeros((len(keys), WIDTH))
    words[:, 0] = keys.astype(np.uint64).view(np.float64)
    return Records(words)


@pytest.fixture
def rows(tmp_path: Path):
    with ExternalSort(tmp_path / "train", WIDTH, MEMORY, lambda rows: Ordered(rows, rows.order())) as made:
        yield made
    assert list(tmp_path.rglob(".sort-*")) == []


def add(rows: ExternalSort, most: int) -> np.ndarray:
    """Add 5000 rows with keys below `most`, and return these."""
    keys = np.random.default_rng(0).integers(0, most, 5000, dtype=np.uint64, endpoint=False)
    for some in np.split(keys, 20):
        rows.add(rows_of(some))
    return keys


@pytest.mark.parametrize("most", [1 << 64, 1 << 56, 2], ids=["spread", "in one part of the range", "two keys"])
def test_every_row_comes_back_and_no_key_is_in_two_groups(rows, most):
    keys = add(rows, most)
    for read in (lambda: (np.sort(load().keys) for load in rows.groups()), lambda: (of.keys for of in rows.ordered())):
        groups = list(read())
        assert np.concatenate(groups).tolist() == np.sort(keys).tolist()
        assert all(one[-1] < other[0] for one, other in pairwise(groups))
        if most == 1 << 64:
            assert max(map(len, groups)) <= 1000


def test_the_last_reading_has_what_was_added_during_the_one_before(rows):
    keys = add(rows, 1 << 64)
    for load in rows.groups():
        rows.add(rows_of(load().keys[:300] + np.uint64(1)))
    again = np.concatenate([group.keys for group in rows.ordered()])
    assert len(again) > len(keys)
    assert again.tolist() == np.sort(again).tolist()
    assert set(again) > set(keys)


def test_what_fits_in_memory_makes_one_group(rows, tmp_path: Path):
    rows.add(rows_of(np.array([3, 1], np.uint64)))
    (load,) = rows.groups()
    rows.add(rows_of(np.array([2], np.uint64)))
    assert [load().keys.tolist(), *(group.keys.tolist() for group in rows.ordered())] == [[3, 1], [1, 2, 3]]
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_key_are_made_one_before_they_are_written(tmp_path: Path):
    def joined(rows: Records) -> Ordered:
        return Ordered(rows, np.unique(rows.keys, return_index=True)[1])

    with ExternalSort(tmp_path / "train", WIDTH, MEMORY, joined) as rows:
        for _ in range(20):
            rows.add(rows_of(np.full(600, 7, np.uint64)))
        assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 20 * 8 * WIDTH
        assert [group.keys.tolist() for group in rows.ordered()] == [[7]]


def test_the_last_reading_frees_the_disk_as_it_goes(rows, tmp_path: Path):
    left = len(add(rows, 1 << 64))
    for load in rows.groups():
        load()
    for group in rows.ordered():
        left -= len(group)
        used = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
        assert left * 8 * WIDTH <= used < (left + 5000 / FREED) * 8 * WIDTH


def test_no_row_makes_no_group(rows):
    assert (list(rows.groups()), list(rows.ordered())) == ([], [])


def test_rows_are_looked_at_within_the_memory_on_many_cores(tmp_path: Path, settings: JobSettings, monkeypatch):
    monkeypatch.setattr(data_files, "WORKERS", 32)
    wanted = dataclasses.replace(settings, memory_bytes=4 << 20, id_columns=())
    keys = np.random.default_rng(0).integers(0, 1 << 64, 200_000, dtype=np.uint64, endpoint=False)
    with SortedRows(tmp_path / "train", DataFiles(tmp_path, wanted)) as rows:
        for some in np.split(keys, 100):
            rows.add(Records.of([np.zeros(2000)] * 2, np.zeros(2000), np.ones(2000, np.int64), some))
        tracemalloc.start()
        try:
            looked_at = sum(map(len, rows.looked_at()))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert looked_at == 200_000
    assert peak < wanted.memory_bytes / 2


@pytest.mark.full
def test_more_rows_of_a_run_are_loaded_than_the_system_reads_at_once(tmp_path: Path):
    """Linux reads 2 GiB at most by one call."""
    run, count = tmp_path / "run", (1 << 28) + 1000
    with run.open("wb") as file:  # a file of zeros that takes no space, and a last row
        file.seek(8 * (count - 1))
        file.write(np.uint64(7).tobytes())
    rows = loaded([(run, np.array([0, count]))], 0, 1, width=1, last=False)
    assert (len(rows), rows.keys[0], rows.keys[-1]) == (count, 0, 7)
