"""The live model and why it is live, the last runs, the alarms, and what starts the next run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from rich.table import Table

from ops.account import Account
from ops.drift import NO_CAPTURE, latest_check
from ops.output import Result, command
from ops.runs import Run, latest, listing, of_package

DIFFERS = (
    "features or classes differ from the live model's: the API keeps the live model's until a retraining is accepted"
)


@dataclass(frozen=True)
class Endpoint:
    """The endpoint with its model package, and the run that trained it; `problem` is SageMaker's FailureReason.

    `signature` is the name of the live model's; a model of an older version has none.
    """

    name: str
    status: str = "none"
    config: str = ""
    since: datetime | None = None
    problem: str = ""
    package: str = ""
    signature: str = ""
    run: Run | None = None


@command
def status(account: Account) -> Result:
    """Show what is live, since when and why; the last runs; alarms; what starts the next run."""
    found = status_of(account)
    return Result(found, _text(found))


def status_of(account: Account, limit: int = 5) -> dict[str, Any]:
    """The status with the newest runs."""
    live = endpoint(account)
    return {
        "project": account.settings.project.name,
        "endpoint": live,
        "settings": changed_settings(account, live),
        "runs": latest(account, limit),
        "alarms": alarms(account),
        "drift": latest_check(account),
        "unchecked": f"off: {NO_CAPTURE}" if account.settings.endpoint.serverless else "no check has run yet",
        "starts": _starts(account),
    }


def endpoint(account: Account) -> Endpoint:
    """The endpoint as it is now. The tag `model-package` of its configuration names the model package."""
    name, sagemaker = account.outputs["Endpoint"], account.sagemaker
    if not (found := described_endpoint(account, name)):
        return Endpoint(name)
    config, tags = found.get("EndpointConfigName", ""), dict[str, str]()
    if config:
        arn = sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    package, signature = tags.get("model-package", ""), tags.get("model-signature", "")
    status, since, problem = found["EndpointStatus"], found["LastModifiedTime"], found.get("FailureReason", "")
    return Endpoint(name, status, config, since, problem, package, signature, of_package(account, package))


def described_endpoint(account: Account, name: str) -> dict[str, Any]:
    """DescribeEndpoint's answer; empty without an endpoint, which only the message "Could not find" means."""
    try:
        return dict(account.sagemaker.describe_endpoint(EndpointName=name))
    except ClientError as error:
        if "Could not find" in str(error):
            return {}
        raise


def changed_settings(account: Account, live: Endpoint | None = None) -> str:
    """A sentence if the settings are of another signature than the live model, else nothing."""
    live = live or endpoint(account)
    other = live.signature and live.signature != account.settings.signature.name
    return f"{DIFFERS} ({live.signature}, here {account.settings.signature.name})" if other else ""


def alarms(account: Account) -> list[dict[str, object]]:
    """{name, reason, since, runbook} of the project's alarms in the state ALARM; `runbook` is the description."""
    prefix, types = f"{account.settings.project.name}-", ["MetricAlarm", "CompositeAlarm"]
    client: Any = account.session.client("cloudwatch")
    found = client.describe_alarms(AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=types)
    listed = [*found.get("CompositeAlarms", []), *found.get("MetricAlarms", [])]
    # The prefix is also that of another project's alarms: "shop-" of "shop-prod-drift".
    listed = [each for each in listed if each["AlarmName"] == f"{prefix}{_section(each)}"]
    keys = ("AlarmName", "StateReason", "StateUpdatedTimestamp", "AlarmDescription")
    values = ([each.get(key, "") for key in keys] for each in listed)
    return [dict(zip(("name", "reason", "since", "runbook"), each, strict=True)) for each in values]


def _section(alarm: dict[str, str]) -> str:
    """The section of the runbook that an alarm of ours is named after."""
    return alarm.get("AlarmDescription", "").rpartition("#")[2]


def _starts(account: Account) -> list[str]:
    """What starts the next run."""
    settings = account.settings
    marker, schedule = settings.trigger.marker, settings.trigger.schedule
    after = f", once {marker} is put after it" if marker else ""
    ways = {
        f"an upload to s3://{account.outputs['DataBucket']}/{settings.data.prefix}{after}": True,
        f"the schedule {schedule}": schedule,
        "drift": settings.drift.retrain != "never",
        "then waits for `ops approve`": settings.release.approval == "manual",
        "then waits for `ops approve` if its model is not comparable": settings.asks_if_incomparable,
    }
    return [way for way, configured in ways.items() if configured]


def _text(found: dict[str, Any]) -> Iterator[str | Table]:
    live, check = found["endpoint"], found["drift"]
    shown = f"{live.status}, {live.config} since {live.since:%F %T}" if live.since else "no model has been deployed yet"
    yield f"endpoint {live.name}: {shown}"
    if live.problem:
        yield f"  {live.problem}"
    if live.run:
        yield f"  by run {live.run.name}, started by {live.run.started_by}: {live.run.why or live.run.outcome}"
    if found["settings"]:
        yield f"  {found['settings']}"
    yield from (f"ALARM {alarm['name']}: {alarm['reason']} {alarm['runbook']}".rstrip() for alarm in found["alarms"])
    yield f"drift: {check['verdict']}, {check['reason']}" if check else f"drift: {found['unchecked']}"
    yield f"next run: {'; '.join(found['starts'])}"
    yield listing(found["runs"]) if found["runs"] else "no run yet"
