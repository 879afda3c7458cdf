"""What a run cost: the seconds of its jobs, and their price where the Price List answers."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.account import Account
from ops.jobs import Job

COMPONENTS = {"Processing": "Processing", "Training": "Training", "Transform": "Batch Transform"}
"""The Price List's word for each kind of job (AWS Price List, AmazonSageMaker, attribute `component`)."""


def cost(account: Account, jobs: list[Job]) -> dict[str, Any]:
    """{jobs: [{name, instances, seconds, dollars}], seconds, dollars}; dollars are None where no price is known."""
    prices: dict[tuple[str, str], float | None] = {}
    lines = []
    for job in jobs:
        key = (job.type, job.instance_type)
        if key not in prices:
            prices[key] = _hourly(account, *key)
        price = prices[key]
        dollars = None if price is None else price * job.seconds / 3600
        instances = f"{job.instance_count} x {job.instance_type}"
        lines.append({"job": job.kind, "instances": instances, "seconds": job.seconds, "dollars": dollars})
    known = [line["dollars"] for line in lines if isinstance(line["dollars"], float)]
    total = sum(known) if lines and len(known) == len(lines) else None
    return {"jobs": lines, "seconds": sum(job.seconds for job in jobs), "dollars": total}


def _hourly(account: Account, kind: str, instance_type: str) -> float | None:
    """US dollars an hour on demand in the account's region."""
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
