"""What a stage is and costs, before it is deployed: `make plan STAGE=dev`."""

import json
import os
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdk.app import build
from pipeline import workflow
from pipeline.config import Settings, load

PRICES = Path(__file__).with_name("prices.toml")
HOURS = 730
"""Of a month, as AWS's price examples have it."""
JOB_MINUTES = 5
"""Assumed of a job on some thousand rows: AWS starts the instance and loads the image for most of it."""
CALL_SECONDS, LAMBDA_GB = 0.05, 0.5
Line = tuple[str, float]


def always_on(settings: Settings, resources: Counter[str], prices: Any) -> Iterator[Line]:
    """Monthly dollars of what costs by being there, the endpoint first; a ValueError names a price that is missing."""
    endpoint = settings.endpoint
    hourly = _hour(endpoint.instance_type, prices)
    name = f"endpoint {settings.project.name}, {endpoint.instance_count} x {endpoint.instance_type}, idle or not"
    name += f", {endpoint.max_instances} at most" if endpoint.scales else ""
    yield name, endpoint.instance_count * hourly * HOURS
    for kind, price in prices["month"].items():
        if resources[kind]:
            yield f"{resources[kind]} x {kind}", resources[kind] * price


def a_run(settings: Settings, transitions: int, prices: Any) -> Iterator[Line]:
    """Dollars of a run that replaces a model: its jobs at JOB_MINUTES each, and its states."""
    spread = settings.processing.instance_count
    for name, size, jobs in (
        ("preprocess and compare", settings.processing, spread + (2 if spread > 1 else 1)),  # the second merges
        ("train", settings.training, settings.training.instance_count),
        ("score challenger and champion", settings.transform, 2 * settings.transform.instance_count),
    ):
        hours = jobs * JOB_MINUTES / 60
        yield f"{name}, {jobs} x {JOB_MINUTES} min of {size.instance_type}", hours * _hour(size.instance_type, prices)
    yield f"at most {transitions} states", transitions * prices["each"]["transition"]


def a_million_calls(settings: Settings, prices: Any) -> Iterator[Line]:
    """Dollars of a million predictions of one row, beside the endpoint."""
    each = prices["each"]
    yield "API Gateway", 1e6 * each["api_call"]
    yield "Lambda", 1e6 * (each["lambda_call"] + CALL_SECONDS * LAMBDA_GB * each["lambda_gb_second"])
    if settings.api.firewall_rate:
        yield "WAF", 1e6 * each["firewall_call"]


def plan(settings: Settings, prices: Any, template: Any) -> str:
    """The states, the resources and the costs, as text."""
    states = Counter(state["Type"] for state in workflow.definition(settings)["States"].values())
    resources = Counter(resource["Type"] for resource in template["Resources"].values())
    month = list(always_on(settings, resources, prices))
    lines = [f"{settings.project.name}: prices of {prices['date']}, us-east-1", ""]
    for title, costs in (
        ("always on, a month", month),
        ("a run that replaces a model", list(a_run(settings, sum(states.values()), prices))),
        ("a million predictions", list(a_million_calls(settings, prices))),
    ):
        lines += [f"{title}: {sum(cost for _, cost in costs):.2f} $"]
        lines += [f"  {cost:9.2f}  {name}" for name, cost in costs] + [""]
    if settings.stack.monthly_budget:
        total = sum(cost for _, cost in month)
        lines += [f"budget: {settings.stack.monthly_budget} $ a month, of which {total:.2f} $ are always on", ""]
    lines += [f"{sum(states.values())} states: {_counted(states)}"]
    lines += [f"{sum(resources.values())} resources: {_counted(resources)}"]
    return "\n".join(lines)


def _hour(instance_type: str, prices: Any) -> float:
    if instance_type not in prices["hour"]:
        raise ValueError(f"no price of {instance_type}: add it to {PRICES.name}")
    return float(prices["hour"][instance_type])


def _counted(things: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(things.items()))


def main() -> None:
    """Prints the plan of the stage that STAGE names; needs no credentials."""
    settings = load(os.environ.get("PIPELINE_CONFIG", "pipeline.toml"))
    with tempfile.TemporaryDirectory() as folder:
        build(settings, region=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), out=Path(folder)).synth()
        template = json.loads((Path(folder) / f"{settings.project.name}.template.json").read_text())
    print(plan(settings, tomllib.loads(PRICES.read_text(encoding="utf-8")), template))


if __name__ == "__main__":
    main()
