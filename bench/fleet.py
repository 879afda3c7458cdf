"""How many instances an endpoint needs: a queue at each instance, and an autoscaler that is minutes late.

SageMaker sends each call to an instance at random unless told otherwise, so that the calls of one instance are a
Poisson stream of their own and one instance stands for all: a queue M/G/c, `c` workers, first come, first served.
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
"""What the endpoint's 99th percentile is to stay under, queueing included, and what share of their time its workers are
busy at the most: the rest is for what is not simulated."""
MINUTES = 24 * 60
OUT_MINUTES, IN_MINUTES = 3, 15
"""What target tracking's alarms look back on before they add and before they take away."""
START_MINUTES = 5
"""Assumed, from an alarm until the new instances answer; AWS gives no figure."""
FEWEST = 2
"""In two availability zones."""


@dataclass(frozen=True)
class Service:
    """How long a worker is busy with a call: log-normal, by its median and its 99th percentile in seconds."""

    median: float
    p99: float

    @property
    def spread(self) -> float:
        """Of the logarithm; 2.326 standard deviations are above 99 of 100."""
        return math.log(self.p99 / self.median) / 2.326

    @property
    def mean(self) -> float:
        """Seconds."""
        return self.median * math.exp(self.spread**2 / 2)

    def draw(self, random: np.random.Generator, calls: int) -> Floats:
        """Seconds of each of some calls."""
        return random.lognormal(math.log(self.median), self.spread, calls)


@dataclass(frozen=True)
class Fleet:
    """An endpoint through a day.

    Args:
        low: Instances at night.
        high: Instances at the most.
        mean: Instances over the day; what is paid.
        target: Calls a second of an instance that the autoscaler is to keep.
        worst: Calls a second of an instance in the day's heaviest minute.
    """

    low: int
    high: int
    mean: float
    target: float
    worst: float


def waits(arrivals: Floats, services: Floats, workers: int) -> Floats:
    """Seconds that each call waits for a worker: first come, first served."""
    free = [0.0] * workers
    waited = np.empty(len(arrivals))
    for call, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        start = max(arrival, free[0])
        heapq.heapreplace(free, start + service)
        waited[call] = start - arrival
    return waited


def p99(rate: float, service: Service, workers: int) -> float:
    """Seconds that 99 of 100 calls stay under at one instance with `rate` calls a second; the same draws for each."""
    random = np.random.default_rng(SEED)
    arrivals, services = np.cumsum(random.exponential(size=CALLS)) / rate, service.draw(random, CALLS)
    return float(np.percentile(waits(arrivals, services, workers) + services, 99))


@cache
def capacity(service: Service, workers: int) -> float:
    """The calls a second that an instance takes with its 99th percentile under P99_SECONDS, to a hundredth.

    Raises ValueError when not even an idle instance does.
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
    """Calls a second in each minute of a day: a wave between a third of the peak and the peak at 16 h, and a step.

    For an hour from 9 h on, at once, the load is half again the wave's: a campaign, or callers of another time zone.
    """
    hours = np.arange(MINUTES) / 60
    wave = peak * (2 + np.cos((hours - 16) * np.pi / 12)) / 3
    return np.where((hours >= 9) & (hours < 10), 1.5 * wave, wave)


def instances(load: Floats, target: float) -> NDArray[np.int64]:
    """Instances in each minute: decided on those before it, in service START_MINUTES later, given back at once."""
    past = np.lib.stride_tricks.sliding_window_view(np.pad(load, (IN_MINUTES - 1, 0), mode="edge"), IN_MINUTES)
    more = np.ceil(past[:, -OUT_MINUTES:].min(1) / target).astype(int).tolist()
    # Target tracking takes away only at a tenth under its target, which keeps it from going to and fro.
    fewer = np.ceil(past.max(1) / (0.9 * target)).astype(int).tolist()
    asked = [max(FEWEST, more[0])] * (START_MINUTES + 1)
    for out, back in zip(more, fewer, strict=True):
        asked.append(max(FEWEST, out, min(asked[-1], back)))
    return np.minimum(asked[START_MINUTES:-1], asked[: -START_MINUTES - 1])


def size(peak: float, most: float) -> Fleet:
    """The cheapest fleet whose heaviest minute still leaves each instance at most `most` calls a second.

    Args:
        peak: Calls a second at the wave's top.
        most: Calls a second that an instance takes, from `capacity`.
    """
    load = demand(peak)
    for percent in range(95, 0, -5):
        target = most * percent / 100
        live = instances(load, target)
        worst = float((load / live).max())
        if worst <= most:
            return Fleet(int(live.min()), int(live.max()), float(live.mean()), target, worst)
    raise ValueError(f"no target below {most:g} calls/s keeps every minute under it: the load steps too high")
