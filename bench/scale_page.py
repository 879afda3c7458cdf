"""docs/scale.md: what a larger load and larger data would take at AWS, from what was measured here."""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.fleet import BUSIEST, FEWEST, P99_SECONDS, START_MINUTES, Fleet, Service, capacity, demand, p99, size
from bench.process import PROJECT

MANY, SLOWEST = "1000 rows in one request", "one-row request, 99th percentile"
"""The figures of bench/serving.py that the service times come from; the baseline of the first is one row a request."""
RATES, BATCH = (10, 100, 1_000, 10_000, 100_000), 100
KINDS = {"ml.t2.medium": (2, 0.2), "ml.c5.large": (2, 1.0), "ml.c5.2xlarge": (8, 1.0)}
"""Workers, one a vCPU, and the share of them that lasts: a t2.medium earns credits for a fifth of its two."""
CALL_SECONDS, LAMBDA_GB, MONTH_HOURS = 0.05, 0.5, 730
"""As in cdk/plan.py."""
GATEWAY, CONCURRENCY = 10_000, 1_000
"""Calls a second of an account's APIs, and invocations at once of its functions; both are raised on request."""
SIZES = {"10 GB": 1e10, "100 GB": 1e11, "1 TB": 1e12, "10 TB": 1e13}
BYTES_A_ROW = 295
"""Of bench/data.py: 30 features."""
JOB_INSTANCE, VOLUME_MB = "ml.m5.large", 81.25
"""Two vCPUs, as the machine measured has two cores; the second is its EBS bandwidth that lasts, MB/s."""
HOURS, EFFICIENCY = 1.0, 0.8
"""Within which a job is to end, and what each of many instances does of what one does alone; the second is assumed."""
HELD_OUT, MOST_HELD_OUT = 0.05, 2e7
"""The share of the rows that bench/pipeline.toml holds out, and how many rows of hold-out are enough."""
Document = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """How a job grows.

    Args:
        section: Its table of pipeline.toml.
        copied: The share of the data that is copied to its volume before it begins.
        spreads: Whether it runs on many instances.
        held: Whether it is of the hold-out only.
    """

    section: str
    copied: float = 0.0
    spreads: bool = True
    held: bool = False


JOBS = {
    "preprocess": Job("processing", copied=1.0),
    "train": Job("training"),
    "score": Job("transform", held=True),
    "evaluate": Job("processing", copied=0.1, spreads=False, held=True),
}
"""By their names in build/growth.json. Training streams (FastFile), transform is sent its objects."""


@dataclass(frozen=True)
class Sized:
    """One job on data of some size: instances, hours from asking to the end, dollars, and GB of each one's volume."""

    job: str
    instances: int
    hours: float
    dollars: float
    volume: int
    binds: str


def markdown(document: Document) -> str:
    """The document; raises LookupError when a figure that it needs was not measured."""
    prices = tomllib.loads((PROJECT / "cdk/prices.toml").read_text(encoding="utf-8"))
    one, batch = services(document)
    calls = ((rows, many, service) for many, service in ((1, one), (BATCH, batch)) for rows in RATES)
    scaled, example = cheapest(1_000, one, prices)
    growth = _largest(document)
    template = Path(__file__).with_name("scale.md").read_text(encoding="utf-8")
    return template.format(
        date=prices["date"], bound=f"{1e3 * P99_SECONDS:g}", busiest=f"{BUSIEST:.0%}",
        start=START_MINUTES, job_instance=JOB_INSTANCE,
        one=f"{1e3 * one.median:.2g}", slow=f"{1e3 * one.p99:.2g}", batch=f"{1e3 * batch.median:.2g}", many=BATCH,
        fleets="\n".join(_fleet_row(*each, prices) for each in calls),
        scaled=scaled, low=example.low, high=math.ceil(1.5 * example.high), target=round(60 * example.target),
        jobs="\n".join(_job_row(name, job) for name, length in SIZES.items() for job in sized(growth, length, prices)),
        totals="\n".join(_total_row(name, list(sized(growth, length, prices))) for name, length in SIZES.items()),
        rows=f"{growth[0]['rows']:,}", hours=f"{HOURS:g}", efficiency=EFFICIENCY, bytes=BYTES_A_ROW, volume=VOLUME_MB,
        held=f"{HELD_OUT:.0%}", most_held=f"{MOST_HELD_OUT:,.0f}", beyond=f"{MOST_HELD_OUT / HELD_OUT / 1e6:,.0f}",
    )  # fmt: skip


def services(document: Document) -> tuple[Service, Service]:
    """A call of one row, and one of BATCH rows, whose time is that of one and of what each further row adds."""
    found = {record["name"]: record for record in document["figures"]}
    if missing := [name for name in (MANY, SLOWEST) if name not in found]:
        raise LookupError(f"no figure '{missing[0]}' in performance.json: see MANY and SLOWEST of bench/scale_page.py")
    median, slowest = 1 / found[MANY]["baseline_value"], found[SLOWEST]["value"] / 1e3
    longer = (BATCH - 1) / found[MANY]["value"]
    return Service(median, slowest), Service(median + longer, slowest + longer)


def cheapest(calls: float, service: Service, prices: Any) -> tuple[str, Fleet]:
    """The instance type, and the fleet of it, that cost least at so many calls a second; none that cannot be scaled."""
    sizes = {}
    for kind, (workers, lasting) in KINDS.items():
        most = min(capacity(service, workers), lasting * workers / service.mean)
        fleet = size(calls, most)
        if lasting == 1 or fleet.high == fleet.low:
            sizes[kind] = fleet
    kind = min(sizes, key=lambda name: sizes[name].mean * prices["hour"][name])
    return kind, sizes[kind]


def sized(growth: list[Document], length: float, prices: Any) -> Iterator[Sized]:
    """Each job on `length` bytes of CSV: the fewest instances, doubled, with which it ends within HOURS."""
    for point in growth:
        job = JOBS[point["job"]]
        size = min(length, MOST_HELD_OUT / HELD_OUT * BYTES_A_ROW) if job.held else length
        copied = job.copied * size / VOLUME_MB / 1e6
        worked = size / BYTES_A_ROW * point["seconds"] / point["rows"]
        count, hours = 1, (copied + worked) / 3600
        while hours > HOURS and job.spreads:
            count *= 2
            hours = (copied + worked / EFFICIENCY) / count / 3600
        paid = hours + START_MINUTES / 60
        # Input and output share the volume.
        volume = 10 + math.ceil(2.2 * job.copied * size / count / 1e9)
        dollars = count * paid * prices["hour"][JOB_INSTANCE]
        yield Sized(point["job"], count, paid, dollars, volume, "volume" if copied > worked else "processor")


def _largest(document: Document) -> list[Document]:
    if not document["growth"]:
        raise LookupError("no job was measured: `make bench` with its part `growth`")
    most = max(point["rows"] for point in document["growth"])
    return [point for point in document["growth"] if point["rows"] == most and point["job"] in JOBS]


def _fleet_row(rows: float, many: int, service: Service, prices: Any) -> str:
    each, calls = prices["each"], rows / many
    kind, fleet = cheapest(calls, service, prices)
    month = 3600 * MONTH_HOURS * calls * float(demand(1.0).mean())
    api = month * (each["api_call"] + each["lambda_call"] + CALL_SECONDS * LAMBDA_GB * each["lambda_gb_second"])
    endpoint = fleet.mean * prices["hour"][kind] * MONTH_HOURS
    at_once = calls * CALL_SECONDS
    binds = [
        *(["`[api] rate_per_second` (50)"] if calls > 50 else []),
        *(["API Gateway 10,000 calls/s"] if calls > GATEWAY else []),
        *(["Lambda concurrency 1,000"] if at_once > CONCURRENCY else []),
        *([f"quota of {kind}"] if fleet.high > FEWEST else []),
    ]
    cells = (
        f"{rows:,}", f"{many}", f"{calls:,g}", kind, f"{fleet.low} to {fleet.high}, mean {fleet.mean:.1f}",
        f"{1e3 * p99(fleet.worst, service, KINDS[kind][0]):.1f} ms", f"{endpoint:,.0f} $", f"{api:,.0f} $",
        f"{at_once:,.0f}", ", ".join(binds) or "nothing",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _job_row(name: str, job: Sized) -> str:
    settings = {
        "instance_count": job.instances,
        "volume_gb": job.volume if JOBS[job.job].copied else 0,
        "max_runtime_minutes": 60 * math.ceil(job.hours) if job.hours > 1 else 0,
    }
    changed = ", ".join(f"`{key} = {value}`" for key, value in settings.items() if value)
    change = f"`[{JOBS[job.job].section}]` {changed}" if JOBS[job.job].spreads else "as preprocess"
    cells = (name, job.job, f"{job.instances}", f"{job.hours:.2f}", f"{job.dollars:,.2f} $", job.binds)
    return f"| {' | '.join((*cells, change))} |"


def _total_row(name: str, jobs: list[Sized]) -> str:
    most = max(job.instances for job in jobs)
    return f"| {name} | {sum(job.hours for job in jobs):.1f} | {sum(job.dollars for job in jobs):,.2f} $ | {most} |"
