"""What is live and why, the last runs, the alarms that ring, and what starts the next run."""

from datetime import datetime
from typing import Any

from rich.table import Table

from ops import drift, runs
from ops.account import Account
from ops.output import table

Document = dict[str, Any]


def status(account: Account, limit: int = 5) -> Document:
    """Everything that `ops status` tells."""
    return {
        "project": account.settings.project.name,
        "endpoint": endpoint(account),
        "runs": runs.latest(account, limit),
        "alarms": ringing(account),
        "drift": drift.latest(account),
        "starts": starts(account),
    }


def endpoint(account: Account) -> Document:
    """The endpoint: name, status, config, since, and the run that put it there; status `none` when nothing is live."""
    name = account.outputs["Endpoint"]
    listed = account.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    found = next((endpoint for endpoint in listed if endpoint["EndpointName"] == name), None)
    if found is None:
        return {"name": name, "status": "none", "config": "", "since": None, "run": None, "problem": ""}
    described = account.sagemaker.describe_endpoint(EndpointName=name)
    config = described.get("EndpointConfigName", "")
    since: datetime = found["LastModifiedTime"]
    return {
        "name": name,
        "status": described["EndpointStatus"],
        "config": config,
        "since": since,
        "run": runs.of_resource(account, config),
        "problem": described.get("FailureReason", ""),
    }


def ringing(account: Account) -> list[Document]:
    """The project's alarms that are in ALARM: name, reason, since, and the description with its runbook's place."""
    project = account.settings.project.name
    found = account.session.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{project}-", StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return [
        {
            "name": alarm["AlarmName"],
            "reason": alarm.get("StateReason", ""),
            "since": alarm.get("StateUpdatedTimestamp"),
            "runbook": alarm.get("AlarmDescription", ""),
        }
        for alarm in [*found.get("CompositeAlarms", []), *found.get("MetricAlarms", [])]
    ]


def starts(account: Account) -> list[str]:
    """What starts the next run, in words."""
    trigger, release = account.settings.trigger, account.settings.release
    found = [f"an upload to s3://{account.outputs['DataBucket']}/{account.settings.data.prefix}"]
    if trigger.marker:
        found[0] += f", once {trigger.marker} is put after it"
    if trigger.schedule:
        found.append(f"the schedule {trigger.schedule}")
    if account.settings.drift.retrain != "never":
        found.append("drift")
    if release.approval == "manual":
        found.append("then waits for `ops approve`")
    return found


def text(found: Document) -> list[str | Table]:
    """The document for people."""
    live, run = found["endpoint"], found["endpoint"]["run"]
    if live["status"] == "none":
        lines: list[str | Table] = [f"endpoint {live['name']}: no model has been deployed yet"]
    else:
        lines = [f"endpoint {live['name']}: {live['status']}, {live['config']} since {live['since']:%F %T}"]
    if live["problem"]:
        lines.append(f"  {live['problem']}")
    if run is not None:
        lines.append(f"  by run {run.name}, asked for by {run.asked}: {run.reason or run.outcome}")
    lines += [f"ALARM {alarm['name']}: {alarm['reason']} {alarm['runbook']}".rstrip() for alarm in found["alarms"]]
    looked = found["drift"]
    lines.append(f"drift: {looked['verdict']}, {looked['reason']}" if looked else "drift: not looked for yet")
    lines.append(f"next run: {'; '.join(found['starts'])}")
    return [*lines, listing(found["runs"])] if found["runs"] else [*lines, "no run yet"]


def listing(found: list[runs.Run]) -> Table:
    """Runs as a table."""
    return table(
        ("started", "run", "asked by", "status", "outcome", "seconds"),
        ((run.started, run.name, run.asked, run.status, run.outcome, run.seconds) for run in found),
    )
