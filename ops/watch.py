"""Following a run, state by state, to its outcome or cause."""

import time
from datetime import datetime

from rich.console import Console

from ops import runs
from ops.account import Account

START_WITHIN_SECONDS = 120
"""How long an upload may take to start a run, beside the trigger's delay, before `watch` gives up."""


def newest_run(account: Account, console: Console) -> runs.Run:
    """The run that the newest upload started, waiting for it to begin. Raises NoRun with the next step."""
    uploaded = _newest_upload(account)
    patience = START_WITHIN_SECONDS + account.settings.trigger.delay_seconds
    deadline = time.monotonic() + patience
    told = False
    while time.monotonic() < deadline:
        newest = runs.latest(account, limit=1)
        if newest and (uploaded is None or newest[0].started >= uploaded):
            return newest[0]
        if uploaded is None:
            raise runs.NoRun("no run yet and nothing uploaded: `python -m ops upload FILE` starts one")
        if not told:
            console.print("waiting for the upload to start a run ...")
            told = True
        time.sleep(_pause(account))
    raise runs.NoRun(
        f"the upload of {uploaded:%H:%M:%S} started no run in {patience} s:"
        " `python -m ops retrain` says why, or starts one"
    )


def follow(account: Account, run: runs.Run, console: Console) -> runs.Run:
    """Prints a line for each state as it ends, with the seconds it took; returns the run once it has ended."""
    console.print(f"run {run.name}, started {run.started:%H:%M:%S}")
    told: set[int] = set()
    with console.status("") as status:
        while True:
            current = runs.describe(account, run.arn)
            steps = runs.steps(account, run.arn)
            for number, step in enumerate(steps):
                if number not in told and (step.left or not current.running):
                    told.add(number)
                    console.print(_line(step))
            if not current.running:
                return current
            status.update(", ".join(step.state for step in steps if step.left is None) + " ...")
            time.sleep(_pause(account))


def _line(step: runs.Step) -> str:
    took = f"{(step.left - step.entered).total_seconds():6.1f} s" if step.left else ""
    return f"  {step.state:<24}{took}{f'  [red]{step.error}[/red]' if step.error else ''}"


def _newest_upload(account: Account) -> datetime | None:
    listed = account.s3.get_paginator("list_objects_v2").paginate(
        Bucket=account.outputs["DataBucket"], Prefix=account.settings.data.prefix
    )
    return max((item["LastModified"] for page in listed for item in page.get("Contents", [])), default=None)


def _pause(account: Account) -> float:
    """Seconds between two looks: the service in AWS allows few of them, the local one any number."""
    return 0.25 if account.local else 2.0
