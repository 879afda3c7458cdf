"""Follow a run, state by state, to its outcome or error."""

import time
from datetime import datetime

from ops.account import Account
from ops.output import Exit, Result, command, console
from ops.runs import NoRun, Run, describe, latest, steps

START_WITHIN_SECONDS = 120
"""The time that an upload may take to start a run, without the trigger's delay."""


@command
def watch(account: Account) -> Result:
    """Follow the run of the newest upload. Exit code: 0 accepted, 3 rejected or superseded, 1 failed."""
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
                    out.print(f"  {step.state:<28}{took}{f'  [red]{step.error}[/red]' if step.error else ''}")
            if not run.running:
                break
            status.update(", ".join(step.state for step in found if step.left is None) + " ...")
            time.sleep(account.pause)
    why = f" ({run.why})" if run.why else ""
    lines = [f"{run.status.lower()}: {run.outcome}{why}", *(f"warning: {warning}" for warning in run.warnings)]
    code = Exit.OK if run.outcome in ("accepted", "done") else Exit.REJECTED
    return Result(run, lines, code if run.status == "SUCCEEDED" else Exit.FAILED)
