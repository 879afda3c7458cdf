"""The drift checks: the newest one's verdict and figures, and a new one by hand."""

import time
from typing import Any

from rich.table import Table

from ops import documents, runs
from ops.account import Account
from ops.output import table

Document = dict[str, Any]


def latest(account: Account) -> Document | None:
    """The newest check that ended: {check, status, verdict, reason, when}; None when there was none."""
    pages = account.states.get_paginator("list_executions").paginate(stateMachineArn=account.outputs["DriftMachine"])
    for page in pages:
        for execution in page["executions"]:
            if execution["status"] != "RUNNING":
                return _described(account, execution["executionArn"])
    return None


def check(account: Account) -> Document:
    """Start a check now, and return it once it has ended."""
    arn = account.states.start_execution(stateMachineArn=account.outputs["DriftMachine"])["executionArn"]
    while account.states.describe_execution(executionArn=arn)["status"] == "RUNNING":
        time.sleep(0.25 if account.local else 5.0)
    return _described(account, arn)


def details(account: Account, found: Document) -> Document:
    """drift.json of a check; empty when there was too little to measure."""
    return documents.read(account, f"runs/{found['check']}/drift/drift.json")


def text(found: Document, measured: Document) -> list[str | Table]:
    """A check for people: the verdict, and the features that moved most."""
    lines: list[str | Table] = [f"{found['when']:%F %T} {found['verdict']}: {found['reason']}"]
    quality = measured.get("quality", {})
    if quality.get("joined"):
        figures = ", ".join(f"{name} {value:.4g}" for name, value in quality["metrics"].items())
        lines.append(f"live quality of {quality['joined']} rows with their truth: {figures or 'only one label so far'}")
    worst = sorted(measured.get("features", {}).items(), key=lambda item: -item[1]["psi"])[:10]
    rows = ((name, *(each[key] for key in ("psi", "ks", "missing", "out_of_range"))) for name, each in worst)
    return [*lines, table(("feature", "PSI", "KS", "missing", "out of range"), rows)] if worst else lines


def _described(account: Account, arn: str) -> Document:
    found = account.states.describe_execution(executionArn=arn)
    verdict = runs.request(found.get("output") or "").get("drift", {})
    cause = ": ".join(filter(None, [found.get("error"), runs.readable(found.get("cause", ""))]))
    return {
        "check": found["name"],
        "status": found["status"],
        "verdict": verdict.get("verdict", "failed"),
        "reason": verdict.get("reason", cause),
        "when": found.get("stopDate"),
    }
