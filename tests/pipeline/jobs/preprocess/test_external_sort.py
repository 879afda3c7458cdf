"""Rows that do not fit in memory come back in groups, in the order of their keys."""

import dataclasses
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.preprocess import external_sort, parallel
from pipeline.jobs.preprocess.data_files import DataFiles
from pipeline.jobs.preprocess.external_sort import FREED, HEAD, ExternalSort, Run, load
from pipeline.jobs.preprocess.records import Ordered, Records
from pipeline.jobs.preprocess.sorted_rows import SortedRows
from pipeline.jobs.shared.settings import JobSettings

WIDTH, MEMORY = 4, 32 * 1000
"""A thousand rows fit."""


def rows_of(keys: np.ndarray) -> Records:
    words = np.zeros((len(keys), WIDTH))
    words[:, 0] = keys.astype(np.uint64).view(np.float64)
    return Records(words)


def in_order(rows: Records) -> Ordered:
    return Ordered(rows, rows.order())


@pytest.fixture(params=[500, 2], ids=["all files are open", "few files are open"])
def rows(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(external_sort, "KEPT_OPEN", request.param)
    with ExternalSort(tmp_path / "train", WIDTH, MEMORY, in_order) as made:
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
    readings = (
        lambda: (np.sort(group.load().keys) for group in rows.groups()),
        lambda: (np.sort(group.heads().keys) for group in rows.groups()),
        lambda: (group.keys for group in rows.ordered(in_order)),
    )
    for read in readings:
        groups = list(read())
        assert np.concatenate(groups).tolist() == np.sort(keys).tolist()
        assert all(one[-1] < other[0] for one, other in pairwise(groups))
        if most == 1 << 64:
            assert max(map(len, groups)) <= 1000


def test_heads_are_the_keys_and_places_of_the_rows(rows):
    words = np.random.default_rng(0).random((5000, WIDTH))
    for some in np.split(words, 20):
        rows.add(Records(some))
    groups = [(group.load().words, group.heads().words) for group in rows.groups()]
    assert len(groups) > 1
    assert all((heads == loaded[:, :HEAD]).all() for loaded, heads in groups)


def test_the_last_reading_has_what_was_added_during_the_one_before(rows):
    keys = add(rows, 1 << 64)
    for group in rows.groups():
        rows.add(rows_of(group.load().keys[:300] + np.uint64(1)))
    again = np.concatenate([group.keys for group in rows.ordered(in_order)])
    assert len(again) > len(keys)
    assert again.tolist() == np.sort(again).tolist()
    assert set(again) > set(keys)


def test_what_fits_in_memory_makes_one_group(rows, tmp_path: Path):
    rows.add(rows_of(np.array([3, 1], np.uint64)))
    (group,) = rows.groups()
    rows.add(rows_of(np.array([2], np.uint64)))
    assert [group.load().keys.tolist(), group.heads().keys.tolist()] == [[3, 1], [3, 1]]
    assert [group.keys.tolist() for group in rows.ordered(in_order)] == [[1, 2, 3]]
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_key_are_made_one_before_they_are_written(tmp_path: Path):
    def joined(rows: Records) -> Ordered:
        return Ordered(rows, np.unique(rows.keys, return_index=True)[1])

    with ExternalSort(tmp_path / "train", WIDTH, MEMORY, joined) as rows:
        for _ in range(20):
            rows.add(rows_of(np.full(600, 7, np.uint64)))
        assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 20 * 8 * (HEAD + WIDTH)
        assert [group.keys.tolist() for group in rows.ordered(joined)] == [[7]]


def test_the_last_reading_frees_the_disk_as_it_goes(rows, tmp_path: Path):
    left = every = len(add(rows, 1 << 64))
    for group in rows.groups():
        group.load()
    for group in rows.ordered(in_order):
        left -= len(group)
        used = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) - every * 8 * HEAD
        # A thread may be about to free what was read last.
        assert left * 8 * WIDTH <= used < (left + 2 * every / FREED + MEMORY / 8 / WIDTH) * 8 * WIDTH


def test_no_row_makes_no_group(rows):
    assert (list(rows.groups()), list(rows.ordered(in_order))) == ([], [])


def test_rows_are_looked_at_within_the_memory_on_many_cores(tmp_path: Path, settings: JobSettings, monkeypatch):
    monkeypatch.setattr(parallel, "WORKERS", 32)
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
    file, count = tmp_path / "run", (1 << 27) + 1000
    with file.open("wb") as opened:  # a file of zeros that takes no space, and a last head
        opened.seek(8 * HEAD * count - 8)
        opened.write(np.int64(7).tobytes())
    rows = load([Run(file, np.array([0, count]), None)], HEAD, 0, 1)
    assert (len(rows), rows.places[0], rows.places[-1]) == (count, 0, 7)
