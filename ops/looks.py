"""The commands that look and change nothing."""

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ops import drift as drift_
from ops import jobs
from ops import runs as runs_
from ops import status as status_
from ops.account import Account
from ops.console.server import Console
from ops.diff import diff as differences
from ops.doctor import doctor as examined
from ops.output import CONFIG, Config, Exit, Json, RunName, show, table
from ops.report.gather import gather
from ops.report.page import page

LINES = 1000
"""Of a log, from its end; `--lines` asks for another number."""


def status(config: Config = CONFIG, as_json: Json = False) -> None:
    """What is live, since when and why; the last runs; alarms; what starts the next run."""
    found = status_.status(Account.of(config))
    show(found, status_.text(found), as_json=as_json)


def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 20,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """The runs, newest first. Exit code: 4 when there is none."""
    found = runs_.latest(Account.of(config), limit)
    show(found, status_.listing(found) if found else "no run yet: `python -m ops upload FILE` starts one",
         as_json=as_json)  # fmt: skip
    raise typer.Exit(Exit.OK if found else Exit.NOTHING)


def logs(
    run: RunName = "",
    state: Annotated[str, typer.Argument(help="A state with a job; without it, the one that failed, or all.")] = "",
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many lines of a job's log, from its end.")] = LINES,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """The log of a run's jobs, failing lines first. Exit code: 4 when there is no job to show."""
    account = Account.of(config)
    found = runs_.find(account, run)
    steps, started = runs_.steps(account, found.arn), jobs.of(account, found)
    # Other refusals were expected and caught: of a missing endpoint, of a lease that is taken.
    broken = [step for step in steps if step.error and found.outcome.startswith(step.error)]
    wanted = state or next((step.state for step in broken if jobs.for_state(started, step.state)), "")
    document, text = [], [f"{step.state}: {step.error}: {step.cause}" for step in broken if state in ("", step.state)]
    for job in jobs.for_state(started, wanted) if wanted else started:
        log = jobs.log(account, job)
        failing = jobs.failing(log) if job.status == "Failed" else []
        document.append({"state": wanted, "job": job, "failing": failing, "lines": log[-lines:]})
        text.append(f"{job.name}: {job.status} {job.reason}".rstrip())
        text += [*(f"  ! {line}" for line in failing), *(f"    {line}" for line in log[-lines:])]
    if not document:
        text.append(f"run {found.name} has no job{f' for {state}' if state else ''}: its states are "
                    + ", ".join(dict.fromkeys(step.state for step in steps)))  # fmt: skip
    show({"run": found, "failed": broken, "jobs": document}, text, as_json=as_json)
    raise typer.Exit(Exit.OK if document else Exit.NOTHING)


def report(
    run: RunName = "",
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")] = Path("build/reports"),
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Show it in the browser.")] = True,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Write a run's report, one HTML file that needs no network, and open it."""
    account = Account.of(config)
    found = runs_.find(account, run)
    out.mkdir(parents=True, exist_ok=True)
    path = (out / f"{found.name}.html").resolve()
    path.write_text(page(gather(account, found)), encoding="utf-8")
    if browse and not as_json:
        webbrowser.open(path.as_uri())
    show({"report": str(path), "run": found}, f"report: {path}", as_json=as_json)


def drift(
    now: Annotated[bool, typer.Option("--now", help="Look now instead of showing the last look.")] = False,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Has live traffic moved. Exit code: 3 when it has, 4 without enough data or a look, 1 when the look failed."""
    account = Account.of(config)
    found = drift_.check(account) if now else drift_.latest(account)
    if found is None:
        show(None, "not looked for yet: `ops drift --now` does it", as_json=as_json)
        raise typer.Exit(Exit.NOTHING)
    measured = drift_.details(account, found)
    show({**found, "details": measured}, drift_.text(found, measured), as_json=as_json)
    codes = {"none": Exit.OK, "drift": Exit.TURNED_DOWN, "not enough data": Exit.NOTHING}
    raise typer.Exit(codes.get(found["verdict"], Exit.FAILED))


def diff(
    before: Annotated[str, typer.Argument(help="A run's name or its beginning.")],
    after: Annotated[str, typer.Argument(help="Another's.")],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """What differs between two runs: data, settings, hyperparameters, metrics, outcome."""
    account = Account.of(config)
    pair = runs_.find(account, before), runs_.find(account, after)
    found = differences(account, *pair)
    headings = ("what", pair[0].name[:24], pair[1].name[:24], "difference")
    rows = ((line["what"], line["before"], line["after"], line.get("difference")) for line in found)
    show(found, table(headings, rows) if found else "no difference", as_json=as_json)


def console(
    port: Annotated[int, typer.Option("--port", help="On 127.0.0.1; 0 takes a free one.")] = 4580,
    config: Config = CONFIG,
) -> None:
    """Serve a page that shows the pipeline as it runs, until Ctrl-C."""
    with Console(Account.of(config), port) as served, suppress(KeyboardInterrupt):
        print(f"console: {served.url}", flush=True)
        served.serve_forever()


def doctor(config: Config = CONFIG, as_json: Json = False) -> None:
    """Check the machine, the account and the stack; each check is ok or has its fix. Exit code: 1 when one has."""
    found = examined(Account.of(config))
    lines = []
    for check in found:
        lines.append(f"{'ok ' if not check.fix else 'FIX'} {check.name:<12}{check.found}")
        if check.fix:
            lines.append(f"    {'':<12}{check.fix}")
    show(found, lines, as_json=as_json)
    raise typer.Exit(Exit.FAILED if any(check.fix for check in found) else Exit.OK)
