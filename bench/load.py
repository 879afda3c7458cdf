"""`python -m bench.load`: the API on the local AWS under load. LOAD_SECONDS (600) is the length of the steady part.

Calls start when they are due, whatever became of those before (open loop), and are timed from when they were due: a
server that falls behind shows as latency. In turn: the highest rate whose p99 stays under 50 ms with no error; that
rate for the steady part; twice that rate, the stage's throttle being a fifth over it; that rate again.
"""

import asyncio
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped]

from bench.calls import Call, Caller
from bench.deployment import UNLIMITED, Deployment, deployed
from bench.figure import Figure
from bench.report import report

P99_MS, RECOVERY_SECONDS, HEADROOM = 50.0, 5.0, 1.2
PROBE_SECONDS, OVERLOAD_SECONDS, AFTER_SECONDS = 5.0, 30.0, 15.0
FIRST_RATE, PRECISION, TRIES = 20.0, 1.1, 4
WARM_RATE = 200.0
LESS = 0.7
"""What the steady part begins with of the rate that a probe passed, and what it leaves of one that it did not pass."""


@dataclass
class Memory:
    """Resident megabytes of the local AWS and all its processes, sampled while calls run."""

    pid: int
    seen: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            self.seen.append((time.monotonic(), self._now()))
            await asyncio.sleep(1)

    def growth(self) -> float:
        """The last tenth's mean by that of the second tenth, when pools and caches have filled."""
        sizes = [size for _, size in self.seen]
        tenth = max(1, len(sizes) // 10)
        first, last = sizes[tenth : 2 * tenth] or sizes, sizes[-tenth:]
        return (sum(last) / len(last)) / (sum(first) / len(first))

    def _now(self) -> float:
        server = psutil.Process(self.pid)
        return float(sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])) / 1e6


def measure(deployment: Deployment, seconds: float, *, quick: bool = False) -> Iterator[Figure]:
    """The figures; `seconds` is the length of the steady part, and, when it is to be quick, of every other."""
    overload, rest_seconds = (seconds, seconds) if quick else (OVERLOAD_SECONDS, AFTER_SECONDS)
    rate = FIRST_RATE if quick else highest(deployment) * LESS
    for _ in range(TRIES):
        memory = Memory(deployment.cloud.pid)
        calls = asyncio.run(_run(deployment, rate, seconds, memory))
        lost = Counter(call.status for call in calls if call.status != 200)
        told = ", ".join(f"{count} of status {status}" for status, count in lost.items())
        print(
            f"{rate:.0f} calls/s for {seconds:g} s: p99 {p99(calls):.0f} ms, errors: {told or 'none'}", file=sys.stderr
        )
        if fine(calls):
            break
        rate *= LESS
    yield Figure(f"load: rate held for {seconds:g} s", rate, "calls/s", "", None, "value >= 1")
    yield Figure("load: p99 at that rate", p99(calls), "ms", "", None, f"value < {P99_MS:g}")
    yield Figure("load: errors", lost.total(), "", goal="value <= 0", any_size=True)
    yield Figure("load: memory at the end, by that near the start", memory.growth(), "x", "", None, "value <= 1.1")

    deployment.throttle(rate * HEADROOM, math.ceil(rate / 2))
    flood = asyncio.run(_run(deployment, 2 * rate, overload))
    ended = time.monotonic()
    after = asyncio.run(_run(deployment, rate, rest_seconds))
    deployment.throttle(UNLIMITED, 5_000)
    refused = [call for call in flood if call.status != 200]
    unexpected = sum(call.status not in {429, 503} or not call.retry_after for call in refused)
    share = len(refused) / len(flood)
    yield Figure("load: share refused at twice that rate", share, "", "", None, "value >= 0.2")
    yield Figure(
        "load: refusals that are not 429 or 503 with Retry-After", unexpected, "", goal="value <= 0", any_size=True
    )
    rest = ([call for call in after if call.due - ended >= second] for second in range(int(rest_seconds)))
    recovery = next((second for second, calls in enumerate(rest) if fine(calls)), rest_seconds)
    yield Figure("load: recovery after it", recovery, "s", "", None, f"value <= {RECOVERY_SECONDS:g}")


def highest(deployment: Deployment) -> float:
    """The highest rate that a probe passes, to a tenth, once each connection has a warm instance of the function.

    A rate is too much when two probes of it in a row are: what else the machine does may spoil one.
    """
    asyncio.run(_run(deployment, WARM_RATE, 1))
    good, bad = 0.0, math.inf
    rate = FIRST_RATE
    while bad / max(good, 1) > PRECISION:
        for _ in range(2):
            calls = asyncio.run(_run(deployment, rate, PROBE_SECONDS))
            print(f"{rate:.0f} calls/s: p99 {p99(calls):.0f} ms{'' if fine(calls) else ', too much'}", file=sys.stderr)
            if fine(calls):
                good = rate
                break
        else:
            bad = rate
        if bad <= 1:
            raise AssertionError("the API does not even answer a call a second")
        rate = good * 2 if math.isinf(bad) else math.sqrt(good * bad) if good else bad / 2
    return good


def fine(calls: list[Call]) -> bool:
    """No error, and the 99th percentile under the bound."""
    return all(call.status == 200 for call in calls) and p99(calls) < P99_MS


def p99(calls: list[Call]) -> float:
    """Milliseconds that 99 of 100 calls keep under, from when they were due."""
    return sorted(call.milliseconds for call in calls)[math.ceil(len(calls) * 0.99) - 1]


async def _run(deployment: Deployment, rate: float, seconds: float, memory: Memory | None = None) -> list[Call]:
    watching = asyncio.create_task(memory.watch()) if memory else None
    async with Caller(deployment) as caller:
        calls = await caller.send(rate, seconds)
    if watching:
        watching.cancel()
    return calls


def main() -> int:
    """Deploy, measure, show; returns the exit code."""
    with deployed() as deployment:
        seconds = float(os.environ.get("LOAD_SECONDS", "600"))
        return report({"load": lambda: measure(deployment, seconds)}, "load.json")


if __name__ == "__main__":
    sys.exit(main())
