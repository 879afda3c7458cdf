"""The statistics of a table are added up block by block, and leave the rows as they are."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from pipeline.jobs.preprocess.baseline import Moments


@pytest.mark.parametrize("at_a_time", [1, 7, 100])
def test_the_moments_of_blocks_add_up_to_those_of_the_table(at_a_time):
    table = np.random.default_rng(0).normal(size=(100, 3))
    table[::5, 1] = np.nan
    before = table.copy()
    found = reduce(add, (Moments.of(table[start : start + at_a_time]) for start in range(0, 100, at_a_time)))
    assert found.count.tolist() == [100, 80, 100]
    assert found.mean == pytest.approx(np.nanmean(before, axis=0))
    assert found.squares == pytest.approx(np.nanvar(before, axis=0) * found.count)
    assert (found.low.tolist(), found.high.tolist()) == (np.nanmin(before, 0).tolist(), np.nanmax(before, 0).tolist())
    assert np.array_equal(table, before, equal_nan=True)
