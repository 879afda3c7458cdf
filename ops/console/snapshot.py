"""The console's data, read from the same AWS APIs as the commands; nothing here changes anything."""

import json
import time
from collections.abc import Iterator

from ops.account import FAILURES, Account
from ops.drift import most_drifted
from ops.jobs import jobs_of, log_of, of_state
from ops.output import plain
from ops.runs import file_of, find, steps
from ops.status import status_of

RUNS, LINES = 20, 200
REFRESH_SECONDS = 60
"""The age of a snapshot at most: a change of an alarm or of the registry starts no execution."""


def snapshots(account: Account, chosen: str) -> Iterator[str]:
    """A snapshot as JSON whenever it has changed, else an empty text; waits in between.

    While an execution runs, the snapshot is read each time. Otherwise only the newest executions are listed, which is
    cheap; the snapshot is read when one of them has changed, or after REFRESH_SECONDS.
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
    machines = (account.outputs[name] for name in ("StateMachine", "DeployMachine", "DriftMachine"))
    listed = (account.states.list_executions(stateMachineArn=arn, maxResults=1)["executions"] for arn in machines)
    return " ".join(f"{each['executionArn']} {each['status']}" for executions in listed for each in executions)


def snapshot(account: Account, chosen: str) -> dict[str, object]:
    """The status, the states of the run of this name or else of the newest run, the drift, the models."""
    found = status_of(account, RUNS)
    run = next((each for each in found.runs if each.name == chosen), next(iter(found.runs), None))
    details = file_of(account, found.drift.check, "drift/drift.json") if found.drift else {}
    group = account.outputs["ModelPackageGroup"]
    models = account.sagemaker.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
    )
    return {
        **vars(found),
        "run": run,
        "steps": steps(account, run) if run else [],
        "drifted": most_drifted(details, 5),
        "models": models["ModelPackageSummaryList"],
    }


def definitions(account: Account) -> dict[str, object]:
    """The definitions of the machines, {retrain, deploy}."""
    describe, arns = account.states.describe_state_machine, account.outputs
    machines = {"retrain": arns["StateMachine"], "deploy": arns["DeployMachine"]}
    return {name: json.loads(describe(stateMachineArn=arn)["definition"]) for name, arn in machines.items()}


def logs(account: Account, name: str, state: str) -> dict[str, list[str]]:
    """The logs of a state's jobs in a run: {errors, lines}."""
    found = [log_of(account, job) for job in of_state(jobs_of(account, find(account, name)), state)]
    lines = [line for _, log in found for line in log]
    return {"errors": [line for errors, _ in found for line in errors], "lines": lines[-LINES:]}
