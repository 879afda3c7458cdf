"""docs/scale.md: the instances and the cost at AWS of a larger load and of larger data, from the measurements."""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Measurements, Point
from bench.fleet import BUSIEST, FEWEST, P99_SECONDS, START_MINUTES, Fleet, Service, capacity, demand, p99, size
from bench.process import PROJECT
from ops.critical_path import Planner, seconds, starts
from ops.plan import START_UP
from pipeline import deploy, retrain
from pipeline.config import Settings, load
from pipeline.settings import Serverless

MANY, SLOWEST = "1000 rows in one request", "one-row request, 99th percentile"
"""The figures of bench/serving.py behind the service times; the baseline of the first is one row per request."""
RATES, BATCH = (10, 100, 1_000, 10_000, 100_000), 100
KINDS = {"ml.t2.medium": (2, 0.2), "ml.c5.large": (2, 1.0), "ml.c5.2xlarge": (8, 1.0)}
"""Workers, one per vCPU, and the share of them that is sustained: a t2.medium earns credits for a fifth of its two."""
CALL_SECONDS, LAMBDA_GB, MONTH_HOURS = 0.05, 0.5, 730
"""As in cdk/cost_estimate.py."""
GATEWAY, CONCURRENCY = 10_000, 1_000
"""An account's API calls per second and concurrent Lambda invocations; AWS raises both on request."""
SIZES = {"10 GB": 1e10, "100 GB": 1e11, "1 TB": 1e12, "10 TB": 1e13}
BYTES_PER_ROW = 295
"""In bench/data.py: 30 features."""
JOB_INSTANCE, VOLUME_MB = "ml.m5.large", 81.25
"""Two vCPUs, as the machine measured has two cores; the second is its sustained EBS bandwidth in MB/s."""
HOURS, EFFICIENCY = 1.0, 0.8
"""The most hours of a job, and the rate of one of many instances as a share of one alone (assumed)."""
MOST_INSTANCES = 100
"""Of a job (API reference, ProcessingClusterConfig); the settings take no more."""
HELD_OUT, MOST_HELD_OUT = 0.05, 2e7
"""The share of the rows that bench/pipeline.toml holds out, and the number of hold-out rows that is enough."""
PATHS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    '`[release] rollout = "canary"`': {"release": {"rollout": "canary"}},
    '`[release] rollout = "linear"`, `step_percent = 50`': {"release": {"rollout": "linear", "step_percent": 50}},
    '`[release] rollout = "linear"`, `step_percent = 10`': {"release": {"rollout": "linear", "step_percent": 10}},
    "`[release] bake_seconds = 60`": {"release": {"bake_seconds": 60}},
    "`[endpoint] serverless`": {"endpoint": {"serverless": Serverless(memory_mb=1024, max_concurrency=5)}},
    "`[processing] instance_count = 2`": {"processing": {"instance_count": 2}},
    "`[tuning] jobs = 8`, `parallel = 2`": {"tuning": {"jobs": 8, "parallel": 2}},
    "`[tuning] jobs = 8`, `parallel = 8`": {"tuning": {"jobs": 8, "parallel": 8}},
}
"""Settings, by their tables, whose critical path differs from that of the pipeline.toml of this project."""
Prices = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """How a job grows with the data.

    Args:
        section: Its table in pipeline.toml.
        copied: The share of the data that is copied to its volume before it starts.
        spreads: Whether it can run on many instances.
        held: Whether it processes the hold-out only.
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
"""By their names in docs/performance.json. Training streams (FastFile); SageMaker sends transform its objects."""


@dataclass(frozen=True)
class Sized:
    """One job on data of some size: instances, hours with its start, dollars, and GB of each instance's volume."""

    job: str
    instances: int
    hours: float
    dollars: float
    volume: int
    limit: str


def markdown(run: Measurements) -> str:
    """The document. Raises LookupError if a figure that it needs was not measured."""
    prices = tomllib.loads((PROJECT / "cdk/prices.toml").read_text(encoding="utf-8"))
    one, batch = services(run)
    calls = ((rows, many, service) for many, service in ((1, one), (BATCH, batch)) for rows in RATES)
    scaled, example = cheapest(1_000, one, prices, autoscaled=True)
    growth = _largest(run)
    jobs = {name: list(sized(growth, length, prices)) for name, length in SIZES.items()}
    template = Path(__file__).with_name("scale.md").read_text(encoding="utf-8")
    values = {
        "date": prices["date"],
        "busiest": BUSIEST,
        "bound": f"{1e3 * P99_SECONDS:g}",
        "one": f"{1e3 * one.median:.2g}",
        "slow": f"{1e3 * one.p99:.2g}",
        "batch": f"{1e3 * batch.median:.2g}",
        "fleets": "\n".join(_fleet_row(*each, prices) for each in calls),
        "scaled": scaled,
        "fleet": example,
        "most": math.ceil(1.5 * example.high),
        "target": round(60 * example.target),
        "jobs": "\n".join(_job_row(name, job) for name in jobs for job in jobs[name]),
        "totals": "\n".join(_total_row(name, jobs[name]) for name in jobs),
        "rows": growth[0].rows,
        "work": round(sum(point.seconds for point in growth)),
        "paths": "\n".join(_path_rows()),
        "started": START_UP,
        "beyond": MOST_HELD_OUT / HELD_OUT / 1e6,
    }
    return template.format_map({**globals(), **values})  # the template names constants of this module


def services(run: Measurements) -> tuple[Service, Service]:
    """The service times of a call with one row and with BATCH rows: that of one row, and that of each further row."""
    figures = {figure.name: figure for figure in run.figures}
    if missing := [name for name in (MANY, SLOWEST) if name not in figures]:
        raise LookupError(f"no figure '{missing[0]}' in performance.json: see MANY and SLOWEST of bench/scale_page.py")
    median, slowest = 1 / (figures[MANY].baseline_value or math.nan), figures[SLOWEST].value / 1e3
    longer = (BATCH - 1) / figures[MANY].value
    return Service(median, slowest), Service(median + longer, slowest + longer)


def cheapest(calls: float, service: Service, prices: Prices, *, autoscaled: bool = False) -> tuple[str, Fleet]:
    """The cheapest instance type for so many calls per second, and its fleet; a burstable type only if it is fixed."""
    sizes = {}
    for kind, (workers, sustained) in KINDS.items():
        most = min(capacity(service, workers), sustained * workers / service.mean)
        fleet = size(calls, most)
        if sustained == 1 or (fleet.high == fleet.low and not autoscaled):
            sizes[kind] = fleet
    kind = min(sizes, key=lambda name: sizes[name].mean * prices["hour"][name])
    return kind, sizes[kind]


def sized(growth: list[Point], length: float, prices: Prices) -> Iterator[Sized]:
    """Each job on `length` bytes of CSV: the fewest instances, doubled, with which it ends within HOURS."""
    for point in growth:
        job = JOBS[point.job]
        size = min(length, MOST_HELD_OUT / HELD_OUT * BYTES_PER_ROW) if job.held else length
        copied = job.copied * size / VOLUME_MB / 1e6
        worked = size / BYTES_PER_ROW * point.seconds / point.rows
        count, hours = 1, (copied + worked) / 3600
        while hours > HOURS and job.spreads and count < MOST_INSTANCES:
            count = min(MOST_INSTANCES, 2 * count)
            hours = (copied + worked / EFFICIENCY) / count / 3600
        billed = hours + START_MINUTES / 60
        # Input, the rows that are sorted, and output share the volume: of the benchmark's rows, three times the data.
        volume = 10 + math.ceil(3 * job.copied * size / count / 1e9)
        dollars = count * billed * prices["hour"][JOB_INSTANCE]
        yield Sized(point.job, count, billed, dollars, volume, "volume" if copied > worked else "processor")


def _largest(run: Measurements) -> list[Point]:
    if not run.growth:
        raise LookupError("no job was measured: run `make bench` with its part `growth`")
    most = max(point.rows for point in run.growth)
    return [point for point in run.growth if point.rows == most and point.job in JOBS]


def _fleet_row(rows: float, many: int, service: Service, prices: Prices) -> str:
    each, calls = prices["each"], rows / many
    kind, fleet = cheapest(calls, service, prices)
    month = 3600 * MONTH_HOURS * calls * float(demand(1.0).mean())
    api = month * (each["api_call"] + each["lambda_call"] + CALL_SECONDS * LAMBDA_GB * each["lambda_gb_second"])
    endpoint = fleet.mean * prices["hour"][kind] * MONTH_HOURS
    concurrent = calls * CALL_SECONDS
    limits = {
        "`[api] rate_per_second` (50)": calls > 50,
        "API Gateway 10,000 calls/s": calls > GATEWAY,
        "Lambda concurrency 1,000": concurrent > CONCURRENCY,
        f"quota of {kind}": fleet.high > FEWEST,
    }
    slowest = 1e3 * p99(fleet.worst, service, KINDS[kind][0])
    return (
        f"| {rows:,} | {many} | {calls:,g} | {kind} | {fleet.low} to {fleet.high}, mean {fleet.mean:.1f} "
        f"| {slowest:.1f} ms | {endpoint:,.0f} $ | {api:,.0f} $ | {concurrent:,.0f} "
        f"| {', '.join(name for name, reached in limits.items() if reached) or 'nothing'} |"
    )


def _job_row(name: str, job: Sized) -> str:
    settings = {
        "instance_count": job.instances,
        "volume_gb": job.volume if JOBS[job.job].copied else 0,
        "max_runtime_minutes": 60 * math.ceil(job.hours) if job.hours > 1 else 0,
    }
    changed = ", ".join(f"`{key} = {value}`" for key, value in settings.items() if value)
    change = f"`[{JOBS[job.job].section}]` {changed}" if JOBS[job.job].spreads else "as preprocess"
    figures = f"{job.instances} | {job.hours:.2f} | {job.dollars:,.2f} $"
    return f"| {name} | {job.job} | {figures} | {job.limit} | {change} |"


def _path_rows() -> Iterator[str]:
    """The critical path by setting; and of data that were preprocessed before, if the machine has a way for them."""
    for name, tables in PATHS.items():
        yield _path_row(name, _changed(tables))
    if again := _path_row("the data and their settings are those of an earlier run", _changed({}), "Preprocess"):
        yield again


def _changed(tables: dict[str, dict[str, Any]]) -> Settings:
    settings = load(PROJECT / "pipeline.toml", "dev")
    return settings.model_copy(
        update={name: getattr(settings, name).model_copy(update=values) for name, values in tables.items()}
    )


def _path_row(name: str, settings: Settings, without: str = "") -> str:
    phases = Planner(START_UP, deploy=deploy.definition(settings)).phases(retrain.definition(settings), without)
    start_up = sum(phase.start_up for phase in phases)
    minutes = (start_up / 60, (seconds(phases) - start_up) / 60, seconds(phases) / 60)
    figures = " | ".join(f"{value:.1f}" for value in minutes)
    return f"| {name} | {starts(phases)} | {figures} |" if phases else ""


def _total_row(name: str, jobs: list[Sized]) -> str:
    most = max(job.instances for job in jobs)
    return f"| {name} | {sum(job.hours for job in jobs):.1f} | {sum(job.dollars for job in jobs):,.2f} $ | {most} |"
