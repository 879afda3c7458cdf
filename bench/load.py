"""`python -m bench.load`: the API on the local AWS under load. LOAD_SECONDS (600) is the length of the steady part.

Calls start when they are due, whatever happens to the calls before (open loop). Their latency counts from that
moment, so that a server that falls behind shows a high latency. The parts: raise the rate until the p99 reaches 50 ms
or a call fails; hold the highest rate that passed, or as much less as it takes; send twice that rate, with a throttle a
fifth over the rate; send less than the rate.
"""

import asyncio
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil

from bench import machine
from bench.deployment import UNLIMITED, Deployment, deployed, one_row
from bench.figures import Figure
from bench.process import PROJECT
from bench.report import report

P99_MS, RECOVERY_SECONDS, HEADROOM = 50.0, 2.0, 1.2
PROBE_SECONDS, OVERLOAD_SECONDS, AFTER_SECONDS = 5.0, 15.0, 10.0
FIRST_RATE, PRECISION, ATTEMPTS = 20.0, 1.1, 4
WARM_RATE = 200.0
REDUCTION, CALM = 0.85, 0.7
"""The next rate as a share of one that was not held, and the rate after the overload as a share of the one held."""
CONNECTIONS = 8
"""Each may cost the local AWS a process of the function, and AWS an instance of it."""
TIMEOUT_SECONDS = 30.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Call:
    """When a call was due (monotonic seconds), its latency from then, and the answer; status 0 is no answer."""

    due: float
    milliseconds: float
    status: int
    retry_after: str


@dataclass
class Caller:
    """A pool of connections to a deployed API; each call posts one golden row."""

    deployment: Deployment
    free: "asyncio.LifoQueue[Connection | None]" = field(default_factory=asyncio.LifoQueue)

    async def send(self, rate: float, seconds: float) -> list[Call]:
        """Send `rate` calls per second for `seconds`, then close the connections."""
        for _ in range(CONNECTIONS):
            self.free.put_nowait(None)
        start = time.monotonic()
        tasks = []
        for number in range(round(rate * seconds)):
            due = start + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(self._call(number, due)))
        calls = await asyncio.gather(*tasks)
        while not self.free.empty():
            if connection := self.free.get_nowait():
                connection[1].close()
        return calls

    async def _call(self, number: int, due: float) -> Call:
        connection = await self.free.get()
        if connection and connection[0].at_eof():  # the server closes an idle connection
            connection[1].close()
            connection = None
        status, retry_after, closes = 0, "", False
        address = urlsplit(self.deployment.url)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection = connection or await asyncio.open_connection(address.hostname, address.port)
                status, retry_after, closes = await self._exchange(*connection, number)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            closes = True
        if closes and connection:
            connection[1].close()
            connection = None
        self.free.put_nowait(connection)
        return Call(due, 1e3 * (time.monotonic() - due), status, retry_after)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> tuple[int, str, bool]:
        address, path = urlsplit(self.deployment.url), self.deployment.settings.api.path
        body = one_row(self.deployment.settings, number).encode()
        signed = self.deployment.sign(path, body)
        headers = {**signed, "Host": address.netloc, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {address.path}{path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        answer = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        await reader.readexactly(int(answer["content-length"]))
        return int(head[0].split()[1]), answer.get("retry-after", ""), answer.get("connection") == "close"


@dataclass
class Memory:
    """Resident megabytes of the local AWS and all its processes, sampled once per second."""

    pid: int
    samples: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            server = psutil.Process(self.pid)
            processes = [server, *server.children(recursive=True)]
            self.samples.append(sum(process.memory_info().rss for process in processes) / 1e6)
            await asyncio.sleep(1)

    def growth(self) -> float:
        """The mean of the last tenth divided by that of the second tenth, when pools and caches are full."""
        tenth = max(1, len(self.samples) // 10)
        first, last = self.samples[tenth : 2 * tenth] or self.samples, self.samples[-tenth:]
        return (sum(last) / len(last)) / (sum(first) / len(first))


def measure(deployment: Deployment, seconds: float, *, quick: bool = False) -> Iterator[Figure]:
    """The figures; `seconds` is the length of the steady part and, if `quick`, of every other part."""
    overload, rest_seconds = (seconds, seconds) if quick else (OVERLOAD_SECONDS, AFTER_SECONDS)
    rate, held = FIRST_RATE if quick else highest(deployment), 0.0
    for _ in range(ATTEMPTS):
        memory = Memory(deployment.cloud.pid)
        calls = asyncio.run(_run(deployment, rate, seconds, memory))
        errors = Counter(call.status for call in calls if call.status != 200)
        shown = ", ".join(f"{count} of status {status}" for status, count in errors.items()) or "none"
        print(f"{rate:.0f} calls/s for {seconds:g} s: p99 {p99(calls):.0f} ms, errors: {shown}", file=sys.stderr)
        if passes(calls):
            held = rate
            break
        rate *= REDUCTION
    name = f"load: highest rate held for {seconds:g} s, p99 under {P99_MS:g} ms, no error"
    yield Figure(name, held, "calls/s", goal="value >= 50", limit="the emulation of API Gateway, IAM and Lambda")
    yield Figure("load: p99 at that rate", p99(calls), "ms")
    yield Figure("load: memory at the end, divided by that near the start", memory.growth(), "x", goal="value <= 1.1")

    deployment.throttle(rate * HEADROOM, math.ceil(rate / 2))
    flood = asyncio.run(_run(deployment, 2 * rate, overload))
    ended = time.monotonic()
    after = asyncio.run(_run(deployment, CALM * rate, rest_seconds))
    deployment.throttle(UNLIMITED, 5_000)
    refused = [call for call in flood if call.status != 200]
    unexpected = sum(call.status not in {429, 503} or not call.retry_after for call in refused)
    yield Figure("load: share refused at twice that rate", len(refused) / len(flood), "")
    name = "load: refusals that are not 429 or 503 with Retry-After"
    yield Figure(name, unexpected, "", goal="value <= 0", any_size=True)
    rest = ([call for call in after if call.due - ended >= second] for second in range(int(rest_seconds)))
    recovery = next((second for second, calls in enumerate(rest) if passes(calls)), rest_seconds)
    yield Figure("load: recovery after it", recovery, "s", goal=f"value <= {RECOVERY_SECONDS:g}")


def highest(deployment: Deployment) -> float:
    """The highest rate that a probe passes, within a tenth, with a warm instance of the function per connection.

    A rate is too high if two probes in a row fail: other work of the machine may disturb one.
    """
    asyncio.run(_run(deployment, WARM_RATE, 1))
    good, bad = 0.0, math.inf
    rate = FIRST_RATE
    while bad / max(good, 1) > PRECISION:
        for _ in range(2):
            calls = asyncio.run(_run(deployment, rate, PROBE_SECONDS))
            verdict = "" if passes(calls) else ", too high"
            print(f"{rate:.0f} calls/s: p99 {p99(calls):.0f} ms{verdict}", file=sys.stderr)
            if passes(calls):
                good = rate
                break
        else:
            bad = rate
        if bad <= 1:
            raise AssertionError("the API does not sustain one call per second")
        rate = good * 2 if math.isinf(bad) else math.sqrt(good * bad) if good else bad / 2
    return good


def passes(calls: list[Call]) -> bool:
    """Whether there is no error and the 99th percentile is under the bound."""
    return all(call.status == 200 for call in calls) and p99(calls) < P99_MS


def p99(calls: list[Call]) -> float:
    """The 99th percentile of the latency in milliseconds."""
    return sorted(call.milliseconds for call in calls)[math.ceil(len(calls) * 0.99) - 1]


async def _run(deployment: Deployment, rate: float, seconds: float, memory: Memory | None = None) -> list[Call]:
    watch = asyncio.create_task(memory.watch()) if memory else None
    calls = await Caller(deployment).send(rate, seconds)
    if watch:
        watch.cancel()
    return calls


def main() -> int:
    """Deploy, measure, print; returns the exit code."""
    with deployed() as deployment:
        seconds = float(os.environ.get("LOAD_SECONDS", "600"))
        return report(machine.measure(PROJECT / "build"), {"load": lambda: measure(deployment, seconds)}, "load.json")


if __name__ == "__main__":
    sys.exit(main())
