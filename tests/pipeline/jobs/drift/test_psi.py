import math

import numpy as np
import pytest

from pipeline.jobs.drift.psi import histogram, ks, ks_limit, level_counts, measure, psi, psi_limit
from pipeline.jobs.shared.documents import distribution
from pipeline.jobs.shared.encoder import MISSING, OTHER
from pipeline.jobs.shared.settings import DriftSettings


def test_the_index_of_equal_counts_is_nothing_and_of_a_known_table_what_it_must_be():
    assert psi(np.array([100.0, 100.0]), np.array([10.0, 10.0])) == 0
    exact = 0.25 * math.log(0.75 / 0.5) - 0.25 * math.log(0.25 / 0.5)
    assert psi(np.array([5e8, 5e8]), np.array([7.5e8, 2.5e8])) == pytest.approx(exact)


def test_half_a_row_stands_for_an_empty_place():
    before, after = np.array([10.5, 0.5]) / 11, np.array([5.5, 5.5]) / 11
    wanted = sum((after - before) * np.log(after / before))
    one, other = np.array([10.0, 0.0]), np.array([5.0, 5.0])
    assert (psi(one, other), psi(other, one)) == pytest.approx((wanted, wanted), rel=1e-12)


def test_a_distribution_may_break_either_limit_alone_or_both():
    reference = distribution(np.arange(2000.0))
    limits = DriftSettings(minimum_rows=1, psi=0.2, ks=0.1, missing=1.0, out_of_range=1.0, significance=0.001)
    shares = np.tile([1.5, 0.5], 5)
    values = {
        "neither": np.arange(2000.0),
        "PSI": np.concatenate([np.arange(0, 200, 1 / share) + 200 * n for n, share in enumerate(shares)]),
        "KS": np.concatenate([np.arange(0, 1000, 0.8), np.arange(1000, 2000, 1.35)]),
        "PSI, KS": np.arange(1000, 2000, 0.5),
    }
    for names, sample in values.items():
        found = measure(reference, histogram(reference, sample), limits, 0.001)
        above = {"PSI": (found["psi"], 0.2), "KS": (found["ks"], 0.1)}
        wanted = [f"{name} {above[name][0]:.3g} is above {above[name][1]:g}" for name in above if name in names]
        assert found["reasons"] == wanted


def test_what_chance_gives_is_what_samples_show():
    """1 in 100 windows of one distribution is above the limit at 0.01, give or take."""
    generator, expected = np.random.default_rng(5), np.full(10, 100.0)
    drawn = [generator.multinomial(1000, np.full(10, 0.1)).astype(float) for _ in range(4000)]
    tables = [generator.multinomial(1000, np.full(10, 0.1)).astype(float) for _ in range(4000)]
    above = np.mean([psi(a, b) > psi_limit(expected, b, 0.01) for a, b in zip(drawn, tables, strict=True)])
    assert 0.005 < above < 0.02


def test_a_level_that_no_row_of_the_reference_has_is_outside():
    reference = {"kind": "categorical", "levels": {"a": 5, "b": 0, "c": 2}, "missing": 0.0}
    found = level_counts(reference, np.array([0, 1, 1, 2, OTHER, MISSING, math.nan]))
    assert (found.rows, found.count, found.outside, found.levels.tolist()) == (7, 5, 3, [1, 2, 1])


def test_the_distance_of_a_step_is_the_step():
    reference = distribution(np.repeat([0.0, 1.0], [300, 700]))
    same, moved = (histogram(reference, np.repeat([0.0, 1.0], [zeros, 1000 - zeros])) for zeros in (300, 600))
    assert ks(np.array(reference["percentiles"]), same) == pytest.approx(0, abs=0.01)
    assert ks(np.array(reference["percentiles"]), moved) == pytest.approx(0.3, abs=0.011)
    assert ks_limit(1000, 1000, 0.05) == pytest.approx(1.358 * math.sqrt(2 / 1000), rel=1e-3)
