"""Estimate the costs of a stage before it is deployed: `make cost STAGE=dev`."""

import json
import os
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

from cdk.app import build
from pipeline import deploy, retrain
from pipeline.config import Settings, load
from pipeline.diagram import all_states

PRICES = Path(__file__).with_name("prices.toml")
HOURS_PER_MONTH = 730  # as in AWS's price examples
CALLS = (0, 10_000, 100_000, 1_000_000, 10_000_000)
"""Calls per month for which the endpoint's kinds are compared."""
SERVERLESS_SECONDS = 0.1
"""The assumed seconds of a call that a serverless endpoint bills; the linear learner alone needs a few milliseconds."""
JOB_MINUTES = 5
"""The assumed duration of a job on some thousand rows; most of it is the start of the instance and of the image."""
CALL_SECONDS, LAMBDA_GB = 0.05, 0.5
INSTANCE, LEAST_MEMORY_MB = "ml.t2.medium", 1024
Line = tuple[str, float]


class Prices(TypedDict):
    """prices.toml: US dollars by instance type, by resource type and by kind of request."""

    date: Any
    hour: dict[str, float]
    month: dict[str, float]
    each: dict[str, float]


def always_on(settings: Settings, resources: Counter[str], prices: Prices) -> Iterator[Line]:
    """Yield the monthly dollars of the idle resources, the endpoint first; a ValueError names a missing price."""
    endpoint = settings.endpoint
    if endpoint.serverless:
        yield f"endpoint {settings.project.name}, serverless, idle", 0.0
    else:
        name = f"endpoint {settings.project.name}, {endpoint.instance_count} x {endpoint.instance_type}, idle or not"
        name += f", at most {endpoint.max_instances}" if endpoint.autoscaled else ""
        yield name, endpoint.instance_count * _hour(endpoint.instance_type, prices) * HOURS_PER_MONTH
    for kind, price in prices["month"].items():
        if resources[kind]:
            yield f"{resources[kind]} x {kind}", resources[kind] * price


def per_run(settings: Settings, states: int, prices: Prices) -> Iterator[Line]:
    """Yield the dollars of a run that replaces the model: its jobs at JOB_MINUTES each, and its state transitions.

    Spot training has no list price: the dollars are those on demand, the most that it costs.
    """
    parts = settings.processing.instance_count
    train = "tune" if settings.tuning.jobs else "train"
    train += ", spot at most" if settings.training.spot else ""
    trainings = max(1, settings.tuning.jobs)
    for name, size, jobs in (
        ("preprocess and evaluate", settings.processing, parts + (2 if parts > 1 else 1)),  # several parts are merged
        (train, settings.training, trainings * settings.training.instance_count),
        ("score challenger and champion", settings.transform, 2 * settings.transform.instance_count),
    ):
        hours = jobs * JOB_MINUTES / 60
        yield f"{name}, {jobs} x {JOB_MINUTES} min of {size.instance_type}", hours * _hour(size.instance_type, prices)
    yield f"at most {states} states", states * prices["each"]["transition"]


def per_scored_file(settings: Settings, prices: Prices) -> Iterator[Line]:
    """Yield the dollars of a file that is scored by batch: its three jobs at JOB_MINUTES each."""
    size = settings.score
    for name, jobs in (("check the file, and join ids and answers", 2), ("score", size.instance_count)):
        hours = jobs * JOB_MINUTES / 60
        yield f"{name}, {jobs} x {JOB_MINUTES} min of {size.instance_type}", hours * _hour(size.instance_type, prices)


def per_million_predictions(settings: Settings, prices: Prices) -> Iterator[Line]:
    """Yield the dollars of a million calls of one row, without the endpoint's instances."""
    each = prices["each"]
    if serverless := settings.endpoint.serverless:
        gigabytes = serverless.memory_mb / 1024
        yield "serverless endpoint", 1e6 * SERVERLESS_SECONDS * gigabytes * each["serverless_gb_second"]
    yield "API Gateway", 1e6 * each["api_call"]
    yield "Lambda", 1e6 * (each["lambda_call"] + CALL_SECONDS * LAMBDA_GB * each["lambda_gb_second"])
    if settings.api.waf_rate:
        yield "WAF", 1e6 * each["waf_call"]


def both_kinds(settings: Settings, prices: Prices) -> Iterator[str]:
    """Yield the monthly dollars of the endpoint on instances and serverless, by calls per month.

    The kind that the settings do not have is the smallest: an INSTANCE, or the least memory of a serverless endpoint.
    """
    endpoint, gigabyte_second = settings.endpoint, prices["each"]["serverless_gb_second"]
    kind = endpoint.instance_type or INSTANCE
    memory_mb = endpoint.serverless.memory_mb if endpoint.serverless else LEAST_MEMORY_MB
    instances = endpoint.instance_count * _hour(kind, prices) * HOURS_PER_MONTH
    per_call = SERVERLESS_SECONDS * memory_mb / 1024 * gigabyte_second
    yield f"endpoint per month by calls: {endpoint.instance_count} x {kind}, or serverless with {memory_mb} MB at"
    yield f"  {gigabyte_second:.5f} $ per GB and second and {SERVERLESS_SECONDS:g} s per call"
    for calls in CALLS:
        yield f"  {calls:>10,} calls: {instances:9.2f} $ on instances, {calls * per_call:9.2f} $ serverless"
    yield f"  equal at {instances / per_call:,.0f} calls"
    if settings.data.encoded:
        yield "  this model is an inference pipeline, which SageMaker does not run serverless"


def estimate(settings: Settings, prices: Prices, template: dict[str, Any]) -> str:
    """Return the costs and the numbers of states and resources as text."""
    machines = (retrain.definition(settings), deploy.definition(settings))
    states = Counter(state["Type"] for machine in machines for _, state in all_states(machine))
    resources = Counter(resource["Type"] for resource in template["Resources"].values())
    month = list(always_on(settings, resources, prices))
    lines = [f"{settings.project.name}: prices of {prices['date']}, us-east-1", ""]
    for title, costs in (
        ("always on, per month", month),
        ("per run that replaces the model", list(per_run(settings, states.total(), prices))),
        *([("per file scored by batch", list(per_scored_file(settings, prices)))] if settings.score.enabled else []),
        ("per million predictions", list(per_million_predictions(settings, prices))),
    ):
        lines += [f"{title}: {sum(cost for _, cost in costs):.2f} $"]
        lines += [f"  {cost:9.2f}  {name}" for name, cost in costs] + [""]
    lines += [*both_kinds(settings, prices), ""]
    if budget := settings.stack.monthly_budget:
        lines += [f"budget: {budget} $ per month; always on: {sum(cost for _, cost in month):.2f} $", ""]
    for name, counts in (("states", states), ("resources", resources)):
        lines += [f"{counts.total()} {name}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))]
    return "\n".join(lines)


def _hour(instance_type: str, prices: Prices) -> float:
    if instance_type not in prices["hour"]:
        raise ValueError(f"no price of {instance_type}: add it to {PRICES.name}")
    return prices["hour"][instance_type]


if __name__ == "__main__":
    chosen = load(os.environ.get("PIPELINE_CONFIG", "pipeline.toml"))
    with tempfile.TemporaryDirectory() as folder:
        build(chosen, region=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), out=Path(folder)).synth()
        synthesised = json.loads((Path(folder) / f"{chosen.project.name}.template.json").read_text())
    print(estimate(chosen, tomllib.loads(PRICES.read_text(encoding="utf-8")), synthesised))  # type: ignore[arg-type]
