"""How often rows count, and which of them contradict each other."""

import dataclasses

import numpy as np
import pytest

from pipeline.jobs.preprocess import contradictions
from pipeline.jobs.preprocess.copies import Copies, copies
from pipeline.jobs.preprocess.parts import Parts
from pipeline.jobs.preprocess.records import LINE_BITS, Records


def rows_of(*rows: tuple[int, int, int, float, float]) -> Records:
    """Rows of key, file, line or count, label and feature."""
    keys, files, lines, labels, features = (np.array(values) for values in zip(*rows, strict=True))
    places = files.astype(np.int64) << LINE_BITS | lines.astype(np.int64)
    return Records.of([features.astype(np.float64)], labels.astype(np.float64), places, keys.astype(np.uint64))


def test_a_row_counts_as_often_as_in_the_file_that_has_it_most():
    counted = Copies(by_id=False)
    rows = rows_of(*[(7, 0, 1, 0, 1)] * 2, *[(7, 1, 1, 0, 1)] * 3, (5, 1, 1, 0, 2), (7, 1, 2, 0, 1))
    joined = counted.joined(rows)
    assert (joined.keys.tolist(), joined.counts.tolist()) == ([5, 7, 7], [1, 2, 5])
    again = counted.joined(Records(np.concatenate([joined.moved().words, rows_of((7, 0, 4, 0, 1)).words])))
    assert again.counts.tolist() == [1, 6, 5]
    once, counts = counted.once(again), counted.counts(again)
    assert (once.keys.tolist(), counts.tolist(), counted.replaced) == ([5, 7], [1, 6], 0)


def test_rows_that_count_once_for_sure_are_told_apart():
    rows = rows_of((9, 0, 1, 0, 1), (7, 0, 1, 0, 2), (5, 0, 2, 0, 3), (7, 1, 1, 0, 2), (8, 1, 1, 0, 4))
    assert rows[Copies(by_id=False).alone(rows)].keys.tolist() == [9, 8]
    assert rows[Copies(by_id=True).alone(rows)].keys.tolist() == [9, 5, 8]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_each_copy_has_a_key_and_so_a_part_of_its_own(settings, most):
    rows, counts = (
        rows_of((7 << 60, 0, 9, 0, 1), (9 << 60, 0, 1, 0, 2), (11 << 60, 0, 101, 0, 3)),
        np.array([9, 1, 101]),
    )
    chunks = list(copies(rows, counts, most))
    more = Records(np.concatenate([rows.words, *(chunk.words for chunk in chunks)]))
    assert max(map(len, chunks)) <= most
    assert len(np.unique(more.keys)) == len(more) == 111
    assert np.unique(more.features, return_counts=True)[1].tolist() == [9, 1, 101]
    assert set(more.counts[3:]) == {1}
    assert Parts(settings).in_train(more).mean() == pytest.approx(0.6, abs=0.1)


def test_of_rows_with_the_same_id_the_newest_stays_and_changed_ones_are_counted():
    counted = Copies(by_id=True)
    rows = rows_of((7, 1, 2, 0, 1), (7, 0, 9, 0, 1), (7, 1, 3, 1, 1), (5, 0, 1, 0, 2), (5, 2, 1, 0, 2))
    joined = counted.joined(rows)
    once, counts = counted.once(joined), counted.counts(joined)
    assert (once.keys.tolist(), once.moved().labels.tolist(), counts.tolist()) == ([5, 7], [0, 1], [1, 1])
    assert once.places.tolist() == [(2 << LINE_BITS) + 1, (1 << LINE_BITS) + 3]
    assert counted.replaced == 2


@pytest.mark.parametrize("by_id", [False, True])
def test_no_row_counts_as_none(by_id):
    none = rows_of((7, 1, 2, 0, 1))[:0]
    joined = Copies(by_id).joined(none)
    once, counts = Copies(by_id).once(joined), Copies(by_id).counts(joined)
    assert (len(once), len(counts), list(copies(once.moved(), counts, 5))) == (0, 0, [])


def test_rows_with_the_same_features_and_other_classes_contradict_each_other(settings):
    found = contradictions.Contradictions.none(settings)
    found.add(found.of(rows_of((1, 0, 1, 0, 1.5), (2, 0, 1, 0, 1.5), (3, 0, 1, 1, 2.5))))
    assert found.count() == 0
    found.add(found.of(rows_of((4, 0, 1, 1, 1.5), (5, 0, 1, 0, 3.5))))
    assert found.count() == 3
    assert (found + found).count() == 3


def test_more_rows_than_fit_in_memory_are_sampled(settings):
    found = contradictions.Contradictions.none(dataclasses.replace(settings, memory_bytes=1 << 19))
    features = np.repeat(np.arange(20_000), 3)
    rows = rows_of(*((n, 0, 1, n % 3 == 0 and f % 2, f) for n, f in enumerate(features)))
    for start in range(0, len(rows), 1000):
        found.add(found.of(rows[start : start + 1000]))
    assert sum(map(len, found.held)) <= 1365
    assert found.count() == pytest.approx(30_000, rel=0.2)
