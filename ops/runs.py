"""Runs: the executions of the retraining machine, and those of the deploy machine that no run has started."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Table

from ops.account import Account, NothingToDo
from ops.output import Exit, Result, command, table
from pipeline.jobs.shared.metric_names import SECTIONS

MACHINES = ("StateMachine", "DeployMachine")
"""The stack's outputs with the machines whose executions are runs."""
MOST = 1000
"""The number of runs that a name is searched in."""
CHILD = re.compile(r"[0-9a-f]{32}-\d+")
"""The name of a deployment that a run has started: the MD5 of the run's name, and the attempt."""
NO_RUN = "no run yet: `ops upload FILE` starts one"


class NoRun(NothingToDo):
    """There is no run to show."""


@dataclass(frozen=True)
class Step:
    """A state that a run entered, or `Deploy/{state}` of its deployment; `error` and `cause` are of its last failure.

    `type` is Task, Parallel, Choice, Pass or Fail. `failed` says that this state ended the run: other errors were
    retried or caught.
    """

    state: str
    entered: datetime
    left: datetime | None
    error: str = ""
    cause: str = ""
    failed: bool = False
    type: str = ""


@dataclass(frozen=True)
class Run:
    """An execution: its input, and, when it has ended, its outcome or error, why, its model and its package's ARN."""

    arn: str
    name: str
    status: str
    started_by: str
    started: datetime
    stopped: datetime | None
    outcome: str
    why: str
    model: str
    package: str
    warnings: list[str]
    request: dict[str, Any]

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == "RUNNING"

    @property
    def id(self) -> str:
        """The part of the names of its jobs, its model and its deployment that is the run's own."""
        return md5(self.name)

    @property
    def seconds(self) -> float | None:
        """The duration; None while it runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None


@command
def runs(
    account: Account, limit: Annotated[int, typer.Option("--limit", min=1, help="The number of runs.")] = 20
) -> Result:
    """List the runs, newest first. Exit code: 4 when there is none."""
    found = latest(account, limit)
    return Result(found, listing(found), Exit.OK) if found else Result(found, NO_RUN, Exit.NOTHING)


def listing(found: list[Run]) -> Table:
    """Runs as a table."""
    return table(
        ("started", "run", "started by", "status", "outcome", "seconds"),
        ((run.started, run.name, run.started_by, run.status, run.outcome, run.seconds) for run in found),
    )


def md5(name: str) -> str:
    """The MD5 of a name, in hexadecimal."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def latest(account: Account, limit: int = 5) -> list[Run]:
    """The newest runs, newest first."""
    return [describe(account, arn) for arn in islice(_arns(account), limit)]


def find(account: Account, name: str = "") -> Run:
    """The run of this name, else the newest one whose name begins with it. Raises NoRun."""
    if name and (own := _named(account, name)):
        return own
    for arn in islice(_arns(account), MOST):
        if arn.rpartition(":")[2].startswith(name):
            return describe(account, arn)
    raise NoRun(f"no run's name begins with {name}: `ops runs` lists them" if name else NO_RUN)


def _named(account: Account, name: str) -> Run | None:
    """The run of exactly this name: that of a repetition begins with it."""
    missing = account.states.exceptions.ExecutionDoesNotExist, account.states.exceptions.InvalidArn
    for machine in MACHINES if not CHILD.fullmatch(name) else ():
        with suppress(*missing):
            return describe(account, f"{account.outputs[machine].replace(':stateMachine:', ':execution:')}:{name}")
    return None


def _arns(account: Account) -> Iterator[str]:
    """The ARNs of the runs, newest first."""
    found = account.executions(*MACHINES)
    return (each["executionArn"] for each in found if not CHILD.fullmatch(each["name"]))


def describe(account: Account, arn: str) -> Run:
    """An execution of any of the machines as it is now."""
    found = account.states.describe_execution(executionArn=arn)
    document, request = _object(found.get("output")), _object(found.get("input"))
    outcome = str(document.get("outcome", "done")) if found["status"] == "SUCCEEDED" else ""
    return Run(
        arn=arn,
        name=found["name"],
        status=found["status"],
        started_by=str(request.get("reason", "manual")),
        started=found["startDate"],
        stopped=found.get("stopDate"),
        outcome=outcome or ": ".join(filter(None, [found.get("error"), _sentence(found.get("cause", "")).strip()])),
        why=str(document.get("why", "")),
        model=str(document.get("model", "")),
        package=str(document.get("package") or request.get("package", "")),
        warnings=document.get("warnings", []),
        request=request,
    )


def of_package(account: Account, package: str) -> Run | None:
    """The run that trained a model package, by the package's metadata; None when one of the two is gone."""
    if not package:
        return None
    try:
        found = account.sagemaker.describe_model_package(ModelPackageName=package)
        execution = found.get("CustomerMetadataProperties", {}).get("execution")
        return describe(account, execution) if execution else None
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ExecutionDoesNotExist"):
            raise
        return None


def of_deployment(account: Account, config: str) -> Run | None:
    """The run that trained the model of an endpoint configuration, whose name holds the MD5 of its deployment's."""
    for execution in islice(account.executions("DeployMachine"), MOST):
        if config == f"{account.settings.project.name}-{md5(execution['name'])}":
            return of_package(account, describe(account, execution["executionArn"]).package)
    return None


def file_of(account: Account, run: str, file: str) -> dict[str, Any]:
    """A JSON document of a run, such as evaluation/evaluation.json; an empty object when the run failed before it."""
    try:
        found = account.s3.get_object(Bucket=account.outputs["DataBucket"], Key=f"runs/{run}/{file}")
    except account.s3.exceptions.NoSuchKey:
        return {}
    return dict(json.load(found["Body"]))


def measured(evaluation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{"value", "standard_deviation"} by metric, with curves and a confusion matrix; empty when there are none."""
    return next((evaluation[section] for section in SECTIONS.values() if section in evaluation), {})


def steps(account: Account, run: Run) -> list[Step]:
    """The states that a run entered, in that order; after `Deploy` the states of the deployment that it started."""
    found, deployments = _history(account, run.arn)
    if deployments:
        machine = account.outputs["DeployMachine"].replace(":stateMachine:", ":execution:")
        place = 1 + max(number for number, step in enumerate(found) if step.state == "Deploy")
        with suppress(account.states.exceptions.ExecutionDoesNotExist):
            child, _ = _history(account, f"{machine}:{run.id}-{deployments - 1}")
            found[place:place] = [replace(step, state=f"Deploy/{step.state}") for step in child]
    if run.running or run.status == "SUCCEEDED":
        return found
    refused = [step for step in found if step.error]
    last = [step for step in refused if run.outcome.startswith(step.error)] or refused[-1:]
    return [replace(step, failed=step in last) for step in found]


def _history(account: Account, arn: str) -> tuple[list[Step], int]:
    """The states that an execution entered, and how often it started a deployment.

    An event belongs to the state that the events before it lead back to.
    """
    found: list[Step] = []
    owner: dict[int, int] = {}
    deployments = 0
    pages = account.states.get_paginator("get_execution_history").paginate(executionArn=arn)
    for event in (event for page in pages for event in page["events"]):
        number = owner.get(event.get("previousEventId", 0), -1)
        if entered := event.get("stateEnteredEventDetails"):
            number = len(found)
            kind = event["type"].removesuffix("StateEntered")
            found.append(Step(entered["name"], event["timestamp"], None, type=kind))
        elif left := event.get("stateExitedEventDetails"):
            number = max(index for index, step in enumerate(found) if step.state == left["name"])
            found[number] = replace(found[number], left=event["timestamp"])
        elif number >= 0 and not event["type"].startswith("Execution"):
            deployments += event["type"] == "TaskScheduled" and found[number].state == "Deploy"
            details: Any = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
            if "error" in details:
                cause = details.get("cause", "")
                # A failed deployment's error is in its document.
                error = _object(cause).get("Error") or details["error"]
                found[number] = replace(found[number], error=error, cause=_sentence(cause))
        owner[event["id"]] = number
    return found, deployments


def _object(text: str | None) -> Any:
    """The JSON object in a text; empty when there is none."""
    with suppress(ValueError):
        document = json.loads(text or "{}")
        return document if isinstance(document, dict) else {}
    return {}


def _sentence(cause: str) -> str:
    """The sentence in a cause. A job's or an execution's is its Describe document, a Lambda's its error, as JSON."""
    document = _object(cause)
    named = (document.get(key) for key in ("ExitMessage", "FailureReason", "errorMessage", "Cause"))
    return str(next(filter(None, named), cause))
