"""The console's data, read from the same AWS APIs as the commands; nothing here changes anything."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypedDict

from ops.account import FAILURES, Account
from ops.drift import details, most_drifted
from ops.jobs import jobs_of, log_of, of_state
from ops.output import plain
from ops.runs import Run, Step, find, steps
from ops.status import Status, status_of

RUNS = 20
LINES = 200
MACHINES = ("StateMachine", "DeployMachine", "DriftMachine")
REFRESH_SECONDS = 30
"""The age of a snapshot at most; a change of an alarm or of the registry starts no execution."""


class Drifted(TypedDict):
    """A feature among those that drifted most."""

    feature: str
    psi: float
    ks: float


class Model(TypedDict):
    """A model package."""

    version: int | None
    status: str
    when: datetime
    what: str


class Snapshot(Status):
    """The status, the states of the chosen or newest run, the features that drifted most, the newest models."""

    run: Run | None
    steps: list[Step]
    drifted: list[Drifted]
    models: list[Model]


def snapshots(account: Account, chosen: str) -> Iterator[str]:
    """A snapshot as JSON whenever it has changed, else an empty text; waits in between.

    While an execution runs, the snapshot is read each time. Otherwise only the newest execution of each machine is read,
    which is cheap, and the snapshot when one of them has changed, or after REFRESH_SECONDS.
    """
    running, idle = (0.3, 0.8) if account.local else (5.0, 10.0)
    seen, text, read = "", "", 0.0
    while True:
        found, newest = "", ""
        try:
            newest = _newest(account)
            if newest != seen or "RUNNING" in newest or time.monotonic() > read + REFRESH_SECONDS:
                found, read = json.dumps(snapshot(account, chosen), default=plain), time.monotonic()
        except FAILURES as error:
            found = json.dumps({"error": str(error)})
        yield found if found != text else ""
        seen, text = newest, found or text
        time.sleep(running if "RUNNING" in newest else idle)


def _newest(account: Account) -> str:
    """The newest execution of each machine with its status."""
    listed = (
        account.states.list_executions(stateMachineArn=account.outputs[machine], maxResults=1)["executions"]
        for machine in MACHINES
    )
    return " ".join(f"{each['executionArn']} {each['status']}" for executions in listed for each in executions)


def snapshot(account: Account, chosen: str) -> Snapshot:
    """The snapshot with the states of the run of this name, else of the newest run."""
    found = status_of(account, RUNS)
    run = next((each for each in found["runs"] if each.name == chosen), next(iter(found["runs"]), None))
    features = most_drifted(details(account, found["drift"]), 5) if found["drift"] else []
    return {
        **found,
        "run": run,
        "steps": steps(account, run) if run else [],
        "drifted": [{"feature": name, "psi": each["psi"], "ks": each["ks"]} for name, each in features],
        "models": _models(account),
    }


def _models(account: Account) -> list[Model]:
    listed = account.sagemaker.list_model_packages(
        ModelPackageGroupName=account.outputs["ModelPackageGroup"],
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=10,
    )["ModelPackageSummaryList"]
    return [
        {
            "version": each.get("ModelPackageVersion"),
            "status": each.get("ModelApprovalStatus", ""),
            "when": each["CreationTime"],
            "what": each.get("ModelPackageDescription", ""),
        }
        for each in listed
    ]


def definitions(account: Account) -> dict[str, Any]:
    """The definitions of the retraining and of the deploy machine, as {retrain, deploy}."""
    names = account.outputs["StateMachine"], account.outputs["DeployMachine"]
    found = (account.states.describe_state_machine(stateMachineArn=arn)["definition"] for arn in names)
    return dict(zip(("retrain", "deploy"), map(json.loads, found), strict=True))


def logs(account: Account, name: str, state: str) -> dict[str, list[str]]:
    """The log of a state's jobs in a run: {jobs, errors, lines}."""
    jobs = of_state(jobs_of(account, find(account, name)), state)
    found = [log_of(account, job) for job in jobs]
    lines = [line for _, log in found for line in log]
    errors = [line for failed, _ in found for line in failed]
    return {"jobs": [job.name for job in jobs], "errors": errors, "lines": lines[-LINES:]}
