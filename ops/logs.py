"""The logs of a run's jobs, errors first."""

from typing import Annotated

import typer

from ops.account import Account
from ops.jobs import jobs_of, log_of, of_state
from ops.output import Exit, Result, RunName, command
from ops.runs import find, steps


@command
def logs(
    account: Account,
    run: RunName = "",
    state: Annotated[str, typer.Argument(help="A state with a job. Default: the failed one, or all.")] = "",
    lines: Annotated[int, typer.Option("--lines", min=1, help="The number of last lines of each log.")] = 1000,
) -> Result:
    """Show the logs of a run's jobs: the failed job's log, errors first. Exit code: 4 when there is no job."""
    found = find(account, run)
    entered, jobs = steps(account, found), jobs_of(account, found)
    failed = [step for step in entered if step.failed]
    wanted = state or next((step.state for step in failed if of_state(jobs, step.state)), "")
    document, text = [], [f"{step.state}: {step.error}: {step.cause}" for step in failed if state in ("", step.state)]
    for job in of_state(jobs, wanted) if wanted else jobs:
        errors, log = log_of(account, job)
        document.append({"state": wanted, "job": job, "errors": errors, "lines": log[-lines:]})
        text.append(f"{job.name}: {job.status} {job.reason}".rstrip())
        text += [*(f"  ! {line}" for line in errors), *(f"    {line}" for line in log[-lines:])]
    if not document:
        names = ", ".join(dict.fromkeys(step.state for step in entered))
        text.append(f"run {found.name} has no job{f' for {state}' if state else ''}: its states are {names}")
    return Result({"run": found, "failed": failed, "jobs": document}, text, Exit.OK if document else Exit.NOTHING)
