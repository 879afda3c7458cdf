"""The live model and why it is live, the last runs, the alarms, and what starts the next run."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from rich.table import Table

from ops.account import Account
from ops.drift import Check, latest_check
from ops.output import Result, command
from ops.runs import Run, latest, listing, of_package


@dataclass(frozen=True)
class Endpoint:
    """The endpoint: since when it has its configuration, which model package that is of, and the run that trained it.

    `status` is `none` when nothing is live; `problem` is SageMaker's FailureReason.
    """

    name: str
    status: str = "none"
    config: str = ""
    since: datetime | None = None
    package: str = ""
    run: Run | None = None
    problem: str = ""


class Alarm(TypedDict):
    """An alarm in the state ALARM; `runbook` is its description, which names the place in the runbook."""

    name: str
    reason: str
    since: datetime | None
    runbook: str


class Status(TypedDict):
    """The document of `ops status`."""

    project: str
    endpoint: Endpoint
    runs: list[Run]
    alarms: list[Alarm]
    drift: Check | None
    starts: list[str]


@command
def status(account: Account) -> Result:
    """Show what is live, since when and why; the last runs; alarms; what starts the next run."""
    found = status_of(account)
    return Result(found, _text(found))


def status_of(account: Account, limit: int = 5) -> Status:
    """The status with the newest runs."""
    return {
        "project": account.settings.project.name,
        "endpoint": endpoint(account),
        "runs": latest(account, limit),
        "alarms": alarms(account),
        "drift": latest_check(account),
        "starts": _starts(account),
    }


def endpoint(account: Account) -> Endpoint:
    """The endpoint as it is now. The tag `model-package` of its configuration names the model package."""
    name, sagemaker = account.outputs["Endpoint"], account.sagemaker
    listed = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    found = next((each for each in listed if each["EndpointName"] == name), None)
    if found is None:
        return Endpoint(name)
    described = sagemaker.describe_endpoint(EndpointName=name)
    config = described.get("EndpointConfigName", "")
    package = ""
    if config:
        arn = sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        package = tags.get("model-package", "")
    run = of_package(account, package) if package else None
    since, problem = found["LastModifiedTime"], described.get("FailureReason", "")
    return Endpoint(name, described["EndpointStatus"], config, since, package, run, problem)


def alarms(account: Account) -> list[Alarm]:
    """The project's alarms that are in the state ALARM."""
    found = account.session.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{account.settings.project.name}-",
        StateValue="ALARM",
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
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


def _starts(account: Account) -> list[str]:
    """What starts the next run."""
    trigger = account.settings.trigger
    found = [f"an upload to s3://{account.outputs['DataBucket']}/{account.settings.data.prefix}"]
    if trigger.marker:
        found[0] += f", once {trigger.marker} is put after it"
    if trigger.schedule:
        found.append(f"the schedule {trigger.schedule}")
    if account.settings.drift.retrain != "never":
        found.append("drift")
    if account.settings.release.approval == "manual":
        found.append("then waits for `ops approve`")
    return found


def _text(found: Status) -> list[str | Table]:
    live, check = found["endpoint"], found["drift"]
    if live.status == "none":
        lines: list[str | Table] = [f"endpoint {live.name}: no model has been deployed yet"]
    else:
        lines = [f"endpoint {live.name}: {live.status}, {live.config} since {live.since:%F %T}"]
    if live.problem:
        lines.append(f"  {live.problem}")
    if live.run is not None:
        lines.append(f"  by run {live.run.name}, started by {live.run.started_by}: {live.run.why or live.run.outcome}")
    lines += [f"ALARM {alarm['name']}: {alarm['reason']} {alarm['runbook']}".rstrip() for alarm in found["alarms"]]
    lines.append(f"drift: {check['verdict']}, {check['reason']}" if check else "drift: no check has run yet")
    lines.append(f"next run: {'; '.join(found['starts'])}")
    return [*lines, listing(found["runs"]) if found["runs"] else "no run yet"]
