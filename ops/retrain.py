"""Start a run or a rollback, follow it to its outcome or error, and answer it when it waits for approval."""

import json
import time
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from ops.account import Account, NothingToDo, OpsError
from ops.output import Exit, Result, command, console
from ops.runs import NoRun, Run, Step, describe, file_of, latest, steps
from ops.status import endpoint

START_WITHIN_SECONDS = 120
"""The time that an upload may take to start a run, without the trigger's delay."""


@command
def retrain(
    account: Account,
    force: Annotated[bool, typer.Option("--force", help="Run again on data and settings that had a run.")] = False,
) -> Result:
    """Start a run now. Exit code: 0 started, 4 not started (nothing new, waiting, no data), 1 failed."""
    answer = start(account, force=force)
    code = Exit.OK if answer["result"] == "started" else Exit.NOTHING
    return Result(answer, f"{answer['result']}: {answer['detail']}", code)


def start(account: Account, *, force: bool) -> dict[str, str]:
    """The trigger Lambda's {"result", "detail"} and, when it started a run, "execution". Raises OpsError."""
    function, request = account.outputs["TriggerFunction"], json.dumps({"reason": "manual", "force": force})
    answer = account.session.client("lambda").invoke(FunctionName=function, Payload=request)
    document: dict[str, str] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise OpsError(f"{function}: {document.get('errorType')}: {document.get('errorMessage')}")
    return document


@command
def watch(account: Account) -> Result:
    """Follow the newest run, or that of the newest upload. Exit code: 0 accepted, 3 rejected, superseded, 1 failed."""
    return follow(account, newest_run(account))


def newest_run(account: Account) -> Run:
    """The run that the newest upload started; waits until it starts. Raises NoRun."""
    bucket, prefix = account.outputs["DataBucket"], account.settings.data.prefix
    pages = account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    uploaded = max((item["LastModified"] for page in pages for item in page.get("Contents", [])), default=None)
    wait = START_WITHIN_SECONDS + account.settings.trigger.delay_seconds
    deadline, announced = time.monotonic() + wait, False
    while time.monotonic() < deadline:
        newest = latest(account, limit=1)
        if newest and (uploaded is None or newest[0].started >= uploaded):
            return newest[0]
        if uploaded is None:
            raise NoRun("no run yet and nothing uploaded: `ops upload FILE` starts one")
        if not announced:
            console().print("waiting for the upload to start a run ...")
            announced = True
        time.sleep(account.pause)
    raise NoRun(f"the upload of {uploaded:%H:%M:%S} started no run in {wait} s: `ops retrain` says why, or starts one")


def follow(account: Account, run: Run) -> Result:
    """Prints a line for each state as it ends, with its duration; returns the run's end and its exit code."""
    out = console()
    out.print(f"run {run.name}, started {run.started:%H:%M:%S}")
    printed: set[tuple[str, datetime]] = set()
    with out.status("") as status:
        while True:
            run = describe(account, run.arn)
            found = steps(account, run)
            for step in found:
                if (step.state, step.entered) not in printed and (step.left or not run.running):
                    printed.add((step.state, step.entered))
                    took = f"{(step.left - step.entered).total_seconds():6.1f} s" if step.left else ""
                    error = f"  [red]{step.error}[/red]" if step.error else ""
                    out.print(f"  {step.state:<28}{took}{error}{_preprocessed(account, run, step)}")
            if not run.running:
                break
            status.update(", ".join(step.state for step in found if step.left is None) + " ...")
            time.sleep(account.pause)
    why = f" ({run.why})" if run.why else ""
    lines = [f"{run.status.lower()}: {run.outcome}{why}", *(f"warning: {warning}" for warning in run.warnings)]
    code = Exit.OK if run.outcome in ("accepted", "done", "scored", "nothing to score") else Exit.REJECTED
    return Result(run, lines, code if run.status == "SUCCEEDED" else Exit.FAILED)


def _preprocessed(account: Account, run: Run, step: Step) -> str:
    """Say after the state IsPreprocessed whose rows the run takes; "" if it preprocesses itself."""
    found = file_of(account, run.name, "listing/preprocessed.json") if step.state == "IsPreprocessed" else {}
    return f"  by run {found['run']}" if found else ""


@command
def rollback(
    account: Account,
    force: Annotated[bool, typer.Option("--force", help="Roll back also if another model goes live first.")] = False,
) -> Result:
    """Deploy the previous approved model again, without training, and follow the deployment."""
    first = next((run for run in latest(account) if run.running), None)
    if first and not force:
        note = (
            "is first: if its model goes live, this rollback changes nothing; --force would put the older one over it"
        )
        console().print(f"run {first.name} {note}")
    return follow(account, describe(account, start_rollback(account, force=force)))


def start_rollback(account: Account, *, force: bool = False) -> str:
    """The execution that deploys the newest approved package that is older than the live one. Raises NothingToDo.

    Unless forced, it fails if another model went live before it has the lease.
    """
    live = endpoint(account)
    if live.status == "none":
        raise NothingToDo("no model has been deployed yet: `ops upload FILE` starts the first run")
    group = account.outputs["ModelPackageGroup"]
    pages = account.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending"
    )
    approved = pages.search("ModelPackageSummaryList[].ModelPackageArn")
    older = next((arn for arn in approved if live.package and _version(arn) < _version(live.package)), None)
    if older is None:
        raise NothingToDo("no approved model package is older than the live one: `ops upload FILE` trains another")
    request = {"package": older, "reason": "rollback", "replaces": "" if force else live.config}
    machine = account.outputs["DeployMachine"]
    return account.states.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]


def _version(package: str) -> int:
    """The version in a model package's ARN; of the live one also after it was deleted from the registry."""
    return int(package.rpartition("/")[2])


@command
def approve(account: Account) -> Result:
    """Approve the model of the run that waits for approval: it goes live."""
    return _answer(account, "Approved")


@command
def reject(account: Account) -> Result:
    """Reject the model of the run that waits for approval."""
    return _answer(account, "Rejected")


def _answer(account: Account, status: Literal["Approved", "Rejected"]) -> Result:
    table, key = account.outputs["Lease"], {"endpoint": {"S": account.outputs["Endpoint"]}}
    dynamodb = account.session.client("dynamodb")
    item: dict[str, Any] = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    if "approval" not in item:
        raise NothingToDo(_nobody_asks(account))
    states = account.states
    try:
        states.send_task_success(taskToken=item["approval"]["S"], output=json.dumps({"status": status}))
    except (states.exceptions.TaskTimedOut, states.exceptions.InvalidToken) as error:
        raise NothingToDo(_nobody_asks(account)) from error
    package, word = item["package"]["S"], status.lower()
    return Result({word: package}, f"{word} {package}")


def _nobody_asks(account: Account) -> str:
    """Say what to do without a run that waits: a package that stayed pending was compared with an older champion."""
    pending = account.sagemaker.list_model_packages(
        ModelPackageGroupName=account.outputs["ModelPackageGroup"],
        ModelApprovalStatus="PendingManualApproval",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    if not pending:
        return "no run waits for an approval: `ops status` shows the runs"
    package = pending[0]["ModelPackageArn"]
    return f"no run waits for an approval: that of {package} has ended; `ops retrain --force` trains and asks again"
