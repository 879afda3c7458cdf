"""What the console shows, read from the same AWS APIs as the commands: nothing here changes anything."""

import json
from typing import Any

from ops import drift, jobs, runs, status
from ops.account import Account

RUNS = 20
LINES = 200
Document = dict[str, Any]


def snapshot(account: Account, chosen: str) -> Document:
    """Everything that moves: what is live, runs, alarms, drift, models, and the states of the chosen or newest run."""
    found = status.status(account, RUNS)
    listed: list[runs.Run] = found["runs"]
    run = next((each for each in listed if each.name == chosen), listed[0] if listed else None)
    found["run"] = run
    found["steps"] = runs.steps(account, run.arn) if run else []
    looked = found["drift"]
    measured = drift.details(account, looked) if looked else {}
    features = sorted(measured.get("features", {}).items(), key=lambda item: -item[1]["psi"])[:5]
    found["moved"] = [{"feature": name, "psi": each["psi"], "ks": each["ks"]} for name, each in features]
    found["models"] = models(account)
    return found


def models(account: Account) -> list[Document]:
    """The newest model packages: version, whether approved, when, and the run that made each."""
    listed = account.sagemaker.list_model_packages(
        ModelPackageGroupName=account.outputs["ModelPackageGroup"], SortBy="CreationTime", SortOrder="Descending",
        MaxResults=10,
    )["ModelPackageSummaryList"]  # fmt: skip
    return [
        {
            "version": each.get("ModelPackageVersion"),
            "status": each.get("ModelApprovalStatus", ""),
            "when": each["CreationTime"],
            "what": each.get("ModelPackageDescription", ""),
        }
        for each in listed
    ]


def definition(account: Account) -> Document:
    """The state machine as Step Functions has it."""
    found = account.states.describe_state_machine(stateMachineArn=account.outputs["StateMachine"])
    document: Document = json.loads(found["definition"])
    return document


def logs(account: Account, name: str, state: str) -> Document:
    """The log of a state's jobs in a run, failing lines first."""
    run = runs.find(account, name)
    found = jobs.for_state(jobs.of(account, run), state)
    lines = [line for job in found for line in jobs.log(account, job)]
    failing = jobs.failing(lines) if any(job.status == "Failed" for job in found) else []
    return {"jobs": [job.name for job in found], "failing": failing, "lines": lines[-LINES:]}
