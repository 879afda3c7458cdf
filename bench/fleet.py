"""The number of instances that an endpoint needs: a queue per instance, and an autoscaler with a delay of minutes.

By default SageMaker sends each call to a random instance. The calls of one instance are then a Poisson stream, and one
instance represents all: a queue M/G/c with `c` workers, first come, first served.
https://aws.amazon.com/blogs/machine-learning/minimize-real-time-inference-latency-by-using-amazon-sagemaker-routing-strategies/
"""

import heapq
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CALLS, SEED = 20_000, 0
P99_SECONDS, BUSIEST = 0.05, 0.8
"""The bound of the endpoint's 99th percentile, queueing included, and of the share of time that its workers are busy.
The rest of their time is a reserve for effects that are not simulated."""
MINUTES = 24 * 60
OUT_MINUTES, IN_MINUTES = 3, 15
"""The periods of target tracking's alarms before it adds and before it removes instances."""
START_MINUTES = 5
"""From an alarm until the new instances answer; assumed, as AWS gives no figure."""
FEWEST = 2
"""One per availability zone."""


@dataclass(frozen=True)
class Service:
    """The time that a worker needs per call: log-normal, with this median and 99th percentile in seconds."""

    median: float
    p99: float

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithm; the 99th percentile is 2.326 of them above the median."""
        return math.log(self.p99 / self.median) / 2.326

    @property
    def mean(self) -> float:
        """The mean in seconds."""
        return self.median * math.exp(self.spread**2 / 2)

    def draw(self, random: np.random.Generator, calls: int) -> Floats:
        """The seconds of each of `calls` random calls."""
        return random.lognormal(math.log(self.median), self.spread, calls)


@dataclass(frozen=True)
class Fleet:
    """The instances of an endpoint over a day.

    Args:
        low: The fewest instances.
        high: The most instances.
        mean: The mean over the day, which AWS bills.
        target: The autoscaler's target in calls per second and instance.
        worst: Calls per second and instance in the day's heaviest minute.
    """

    low: int
    high: int
    mean: float
    target: float
    worst: float


def waits(arrivals: Floats, services: Floats, workers: int) -> Floats:
    """The seconds that each call waits for a worker, first come, first served."""
    free = [0.0] * workers
    waited = np.empty(len(arrivals))
    for call, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        start = max(arrival, free[0])
        heapq.heapreplace(free, start + service)
        waited[call] = start - arrival
    return waited


def p99(rate: float, service: Service, workers: int) -> float:
    """The 99th percentile in seconds at one instance with `rate` calls per second; every rate uses the same draws."""
    random = np.random.default_rng(SEED)
    arrivals, services = np.cumsum(random.exponential(size=CALLS)) / rate, service.draw(random, CALLS)
    return float(np.percentile(waits(arrivals, services, workers) + services, 99))


@cache
def capacity(service: Service, workers: int) -> float:
    """The most calls per second of an instance whose 99th percentile is under P99_SECONDS, within a hundredth.

    Raises ValueError if the 99th percentile of an idle instance is over it.
    """
    full = workers / service.mean
    low, high = 0.01 * full, BUSIEST * full
    if p99(low, service, workers) > P99_SECONDS:
        raise ValueError(f"a call takes {service.p99:.3g} s at its 99th percentile: more than {P99_SECONDS:g} s idle")
    if p99(high, service, workers) <= P99_SECONDS:
        return high
    while high - low > 0.01 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if p99(middle, service, workers) <= P99_SECONDS else (low, middle)
    return low


def demand(peak: float) -> Floats:
    """Calls per second in each minute of a day: a wave between a third of the peak and the peak at 16 h, and a step.

    From 9 h to 10 h the load is 1.5 times the wave, as in a campaign, or with callers in another time zone.
    """
    hours = np.arange(MINUTES) / 60
    wave = peak * (2 + np.cos((hours - 16) * np.pi / 12)) / 3
    return np.where((hours >= 9) & (hours < 10), 1.5 * wave, wave)


def instances(load: Floats, target: float) -> NDArray[np.int64]:
    """The instances in each minute: chosen by the minutes before, in service START_MINUTES later, removed at once."""
    past = np.lib.stride_tricks.sliding_window_view(np.pad(load, (IN_MINUTES - 1, 0), mode="edge"), IN_MINUTES)
    more = np.ceil(past[:, -OUT_MINUTES:].min(1) / target).astype(int).tolist()
    # Target tracking removes instances only at a tenth under its target, so that it does not oscillate.
    fewer = np.ceil(past.max(1) / (0.9 * target)).astype(int).tolist()
    wanted = [max(FEWEST, more[0])] * (START_MINUTES + 1)
    for out, back in zip(more, fewer, strict=True):
        wanted.append(max(FEWEST, out, min(wanted[-1], back)))
    return np.minimum(wanted[START_MINUTES:-1], wanted[: -START_MINUTES - 1])


def size(peak: float, most: float) -> Fleet:
    """The cheapest fleet with at most `most` calls per second and instance in the heaviest minute.

    Raises ValueError if there is none.

    Args:
        peak: Calls per second at the peak of the wave.
        most: The capacity of an instance in calls per second, from `capacity`.
    """
    load = demand(peak)
    for percent in range(95, 0, -5):
        target = most * percent / 100
        live = instances(load, target)
        worst = float((load / live).max())
        if worst <= most:
            return Fleet(int(live.min()), int(live.max()), float(live.mean()), target, worst)
    raise ValueError(f"no target below {most:g} calls/s keeps every minute under it: the step of the load is too high")
