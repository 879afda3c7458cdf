"""The cost of a run: the seconds of its jobs, and their price where the Price List answers."""

import json
from functools import cache
from typing import TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from ops.account import Account
from ops.jobs import Job

COMPONENTS = {"Processing": "Processing", "Training": "Training", "Transform": "Batch Transform"}
"""The Price List's term for each kind of job (AWS Price List, AmazonSageMaker, attribute `component`)."""


class Line(TypedDict):
    """A job's instances, instance seconds and US dollars; None where no price is known."""

    job: str
    instances: str
    seconds: float
    dollars: float | None


def cost(account: Account, jobs: list[Job]) -> list[Line]:
    """A line per job, and the line `all`."""

    @cache
    def hourly(kind: str, instance_type: str) -> float | None:
        return _hourly(account, kind, instance_type)

    lines: list[Line] = []
    for job in jobs:
        price = hourly(job.type, job.instance_type)
        dollars = None if price is None else price * job.seconds / 3600
        instances = f"{job.instance_count} x {job.instance_type}"
        lines.append({"job": job.kind, "instances": instances, "seconds": job.seconds, "dollars": dollars})
    known = [line["dollars"] for line in lines if line["dollars"] is not None]
    total = sum(known) if lines and len(known) == len(lines) else None
    return [*lines, {"job": "all", "instances": "", "seconds": sum(job.seconds for job in jobs), "dollars": total}]


def _hourly(account: Account, kind: str, instance_type: str) -> float | None:
    """US dollars per hour on demand in the account's region."""
    wanted = {
        "instanceName": instance_type,
        "component": COMPONENTS[kind],
        "regionCode": account.session.region_name or "",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        # The Price List is served in three regions; this is one of them.
        client = account.session.client("pricing", region_name="us-east-1")
        found = client.get_products(ServiceCode="AmazonSageMaker", Filters=filters)["PriceList"]
        terms = [term for text in found for term in json.loads(text)["terms"]["OnDemand"].values()]
        prices = [float(price["pricePerUnit"]["USD"]) for term in terms for price in term["priceDimensions"].values()]
    except (BotoCoreError, ClientError, KeyError, ValueError):
        return None
    return max(prices, default=None)
