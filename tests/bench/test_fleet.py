"""The queue compared with its formula, and the delay of the autoscaler."""

import math

import numpy as np
import pytest

from bench import fleet
from bench.fleet import FEWEST, MINUTES, P99_SECONDS, START_MINUTES, Service, capacity, demand, p99, size, waits

QUICK = Service(median=0.001, p99=0.003)


def erlang_c(load: float, workers: int) -> float:
    """The probability of waiting in a queue M/M/c; `load` is the arrival rate divided by a worker's service rate."""
    terms = [load**busy / math.factorial(busy) for busy in range(workers)]
    last = load**workers / math.factorial(workers) * workers / (workers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("workers", "busy"), [(1, 0.5), (2, 0.7), (8, 0.8)])
def test_with_exponential_times_the_waits_follow_erlangs_formula(workers: int, busy: float) -> None:
    random, calls, load = np.random.default_rng(1), 200_000, workers * busy
    arrivals = np.cumsum(random.exponential(1 / load, calls))
    waited = waits(arrivals, random.exponential(1.0, calls), workers)
    chance = erlang_c(load, workers)
    assert (waited > 0).mean() == pytest.approx(chance, rel=0.03)
    assert waited.mean() == pytest.approx(chance / (workers - load), rel=0.06)
    late = math.log(chance / 0.01) / (workers - load)
    assert np.percentile(waited, 99) == pytest.approx(late, rel=0.08)


def test_a_free_worker_takes_the_first_call_that_waits() -> None:
    waited = waits(np.array([0.0, 1.0, 2.0, 9.0]), np.array([5.0, 5.0, 1.0, 1.0]), 2)
    assert waited.tolist() == [0.0, 0.0, 3.0, 0.0]


def test_drawn_times_have_the_median_and_the_percentile_of_the_service() -> None:
    drawn = QUICK.draw(np.random.default_rng(0), 200_000)
    assert np.percentile(drawn, [50, 99]).tolist() == pytest.approx([0.001, 0.003], rel=0.02)
    assert drawn.mean() == pytest.approx(QUICK.mean, rel=0.01)


def test_capacity_is_the_highest_rate_within_the_bound() -> None:
    slow = Service(median=0.01, p99=0.02)
    most = capacity(slow, 2)
    assert p99(most, slow, 2) <= P99_SECONDS < p99(1.05 * most, slow, 2)


def test_a_call_that_is_too_slow_when_idle_raises() -> None:
    with pytest.raises(ValueError, match=r"a call takes 0\.2 s at its 99th percentile: more than 0\.05 s idle"):
        capacity(Service(median=0.1, p99=0.2), 2)


def test_new_instances_answer_minutes_after_a_step_of_the_load() -> None:
    load = np.full(120, 100.0)
    load[60:] = 200.0
    live = fleet.instances(load, target=25.0)
    assert live[:60].tolist() == [4] * 60
    assert 60 + START_MINUTES < int(np.argmax(live == 8)) <= 60 + START_MINUTES + 3
    assert live[-1] == 8


def test_a_fleet_keeps_the_bound_all_day_with_at_least_two_instances() -> None:
    most = capacity(QUICK, 2)
    sized = size(20 * most, most)
    assert sized.worst <= most
    assert p99(sized.worst, QUICK, 2) <= P99_SECONDS
    assert FEWEST <= sized.low < sized.mean < sized.high
    idle = size(1.0, most)
    assert (idle.low, idle.high, idle.mean) == (FEWEST, FEWEST, FEWEST)


def test_the_load_of_a_day_has_its_peak_at_sixteen_hours_and_a_step_at_nine() -> None:
    load = demand(90.0)
    assert len(load) == MINUTES
    assert (load.max(), int(load.argmax())) == (90.0, 16 * 60)
    assert load.min() == pytest.approx(30.0)
    assert load[9 * 60] / load[9 * 60 - 1] == pytest.approx(1.5, rel=0.01)
