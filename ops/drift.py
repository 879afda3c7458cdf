"""Drift checks: the newest one's verdict and figures, and a new one on request."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from ops.account import Account
from ops.output import Exit, Result, command, table
from ops.runs import describe, file_of

CODES = {"no drift": Exit.OK, "drift": Exit.REJECTED, "not enough data": Exit.NOTHING}


Check = dict[str, Any]
"""A check that has ended: {check, status, verdict, reason, when}; verdict: drift, no drift, not enough data, failed."""


@command
def drift(
    account: Account,
    now: Annotated[bool, typer.Option("--now", help="Run a check now instead of showing the last one.")] = False,
) -> Result:
    """Show whether live traffic has drifted. Exit code: 3 drift, 4 no check or not enough data, 1 the check failed."""
    if now:
        arn = account.states.start_execution(stateMachineArn=account.outputs["DriftMachine"])["executionArn"]
        while describe(account, arn).running:
            time.sleep(account.pause)
        found: Check | None = _check(account, arn)
    else:
        found = latest_check(account)
    if found is None:
        return Result(None, "no check has run yet: `ops drift --now` runs one", Exit.NOTHING)
    details = file_of(account, found["check"], "drift/drift.json")
    return Result({**found, "details": details}, _text(found, details), CODES.get(found["verdict"], Exit.FAILED))


def latest_check(account: Account) -> Check | None:
    """The newest check that has ended; None when there was none."""
    ended = (each["executionArn"] for each in account.executions("DriftMachine") if each["status"] != "RUNNING")
    newest = next(ended, None)
    return _check(account, newest) if newest else None


def _check(account: Account, arn: str) -> Check:
    run = describe(account, arn)
    verdict, reason = (run.outcome, run.why) if run.status == "SUCCEEDED" else ("failed", run.outcome)
    return {"check": run.name, "status": run.status, "verdict": verdict, "reason": reason, "when": run.stopped}


def most_drifted(details: dict[str, Any], count: int) -> list[tuple[str, dict[str, float]]]:
    """The features of drift.json with the largest PSI, the largest first."""
    return sorted(details.get("features", {}).items(), key=lambda item: -item[1]["psi"])[:count]


def _text(found: Check, details: dict[str, Any]) -> Iterator[str | Table]:
    yield f"{found['when']:%F %T} {found['verdict']}: {found['reason']}"
    if (quality := details.get("quality", {})).get("joined"):
        figures = ", ".join(f"{name} {value:.4g}" for name, value in quality["metrics"].items())
        yield f"live quality of {quality['joined']} rows with ground truth: {figures or 'only one label so far'}"
    if worst := most_drifted(details, 10):
        keys = ("psi", "ks", "missing", "out_of_range")
        rows = ((name, *(each[key] for key in keys)) for name, each in worst)
        yield table(("feature", "PSI", "KS", "missing", "out of range"), rows)
