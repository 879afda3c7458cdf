"""The cost of a run: the seconds of its jobs, and their price where the Price List answers."""

import json

from botocore.exceptions import BotoCoreError, ClientError

from ops.account import Account
from ops.jobs import Job

COMPONENTS = {"Processing": "Processing", "Training": "Training", "Transform": "Batch Transform"}
"""The Price List's term for each kind of job (AWS Price List, AmazonSageMaker, attribute `component`)."""
Line = tuple[str, str, float, float | None]


def cost(account: Account, jobs: list[Job]) -> list[Line]:
    """(job, instances, instance seconds, US dollars) of each job and of all; None where no price is known."""
    prices = {key: _hourly(account, *key) for key in {(job.type, job.instance_type) for job in jobs}}
    lines: list[Line] = []
    for job in jobs:
        price = prices[job.type, job.instance_type]
        dollars = None if price is None else price * job.seconds / 3600
        lines.append((job.kind, f"{job.instance_count} x {job.instance_type}", job.seconds, dollars))
    known = [dollars for *_, dollars in lines if dollars is not None]
    total = sum(known) if lines and len(known) == len(lines) else None
    return [*lines, ("all", "", sum(job.seconds for job in jobs), total)]


def _hourly(account: Account, kind: str, instance_type: str) -> float | None:
    """US dollars per hour on demand in the account's region."""
    region = account.session.region_name or ""
    wanted = {"instanceName": instance_type, "component": COMPONENTS[kind], "regionCode": region}
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
