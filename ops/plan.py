"""`ops plan`: the critical path of the next retraining, before anything is paid for."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import NoCredentialsError, NoRegionError
from rich.table import Table

from ops.account import Account, NotDeployed, OpsError
from ops.critical_path import HEADINGS, Definition, Phase, Planner, of_run, rows, seconds, starts, waits_of
from ops.jobs import jobs_of
from ops.output import Result, command, table
from ops.runs import Run, latest, steps

ROOT = Path(__file__).parents[1]
START_UP: dict[str, float] = tomllib.loads(Path(__file__).with_name("start_up.toml").read_text(encoding="utf-8"))
"""Seconds by kind, with their sources."""
MEASURED = {
    "Preprocess": "preprocess",
    "Train": "train",
    "ScoreChallenger": "score",
    "ScoreChampion": "score",
    "Evaluate": "evaluate",
}
"""The job of docs/performance.json with a state's work."""
RUNS = 20
"""The number of runs in which the last accepted one is searched."""


@command
def plan(
    account: Account,
    number: Annotated[int, typer.Option("--rows", min=0, help="Rows of the data; 0: as in the last run.")] = 0,
    given: Annotated[list[str] | None, typer.Option("--start-up", help="KIND=SECONDS; may be repeated.")] = None,
) -> Result:
    """Show the seconds that a retraining takes until its model serves: start-up and work per phase, and job starts.

    Nothing is started. The path is the longest through the deployed state machines, or, if nothing is deployed, through
    those of the settings. Start-up times are assumptions for AWS: ops/start_up.toml has their sources, and `--start-up
    endpoint=300` replaces one. Work is that of the last accepted run, or with `--rows` that of docs/performance.md, on
    one instance. A dash is work that nobody has measured.
    """
    start_up, work = {**START_UP, **_start_up(given or [])}, dict[str, float]()
    run = None
    try:
        retrain, deploy = account.definition("StateMachine"), account.definition("DeployMachine")
        run = next((each for each in latest(account, RUNS) if _replaced_model(account, each)), None)
        work |= _work(account, run, deploy) if run else {}
        source = "the deployed state machines"
    except (NotDeployed, NoCredentialsError, NoRegionError):
        retrain, deploy = (_rendered(account, machine) for machine in ("retrain", "deploy"))
        source = "the settings, as nothing is deployed"
    work |= _benchmark(number) if number else {}
    planner = Planner(start_up, work, deploy)
    phases, again = planner.phases(retrain), planner.phases(retrain, without="Preprocess")
    document = {
        "source": source,
        "run": run.name if run else "",
        "rows": number,
        "start_up": start_up,
        "phases": phases,
        "job_starts": starts(phases),
        "seconds": seconds(phases),
        "unknown": [phase.name for phase in phases if phase.work is None],
        "preprocessed_before": {"job_starts": starts(again), "seconds": seconds(again)} if again else None,
    }
    return Result(document, _text(source, run, number, phases, again))


def _text(source: str, run: Run | None, number: int, phases: list[Phase], again: list[Phase]) -> Iterator[str | Table]:
    known = [f"of {number:,} rows by docs/performance.md"] if number else []
    known += [f"of run {run.name}"] if run else []
    unknown = "not known, as no run was accepted yet; --rows NUMBER estimates that of jobs"
    yield f"path: the longest through {source}"
    yield "start-up: assumed for AWS, see ops/start_up.toml; --start-up KIND=SECONDS replaces it"
    yield f"work: {', else '.join(known) or unknown}"
    yield table(HEADINGS, rows(phases))
    least = "at least " if any(phase.work is None for phase in phases) else ""
    yield f"total: {least}{seconds(phases) / 60:.1f} minutes, {starts(phases)} job starts"
    if again:
        yield f"if the data were preprocessed before: {seconds(again) / 60:.1f} minutes, {starts(again)} job starts"


def _start_up(given: list[str]) -> dict[str, float]:
    found = {}
    for each in given:
        kind, _, value = each.partition("=")
        if kind not in START_UP or not value.isdecimal():
            raise typer.BadParameter(f"{each}: use KIND=SECONDS, with a KIND of {', '.join(START_UP)}")
        found[kind] = float(value)
    return found


def _replaced_model(account: Account, run: Run) -> bool:
    """Whether it is a retraining whose model went live."""
    machine = account.outputs["StateMachine"].replace(":stateMachine:", ":execution:")
    return run.outcome == "accepted" and run.arn.startswith(f"{machine}:")


def _work(account: Account, run: Run, deploy: Definition) -> dict[str, float]:
    phases = of_run(steps(account, run), jobs_of(account, run), waits_of(deploy))
    return {phase.name: phase.work for phase in phases if phase.work is not None}


def _rendered(account: Account, machine: str) -> Definition:
    """The definition by the settings. The SDK that builds it is none of the packages of `ops`."""
    arguments = [sys.executable, "-m", "pipeline", machine, "--config", str(Path(account.config).resolve())]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"cannot build the state machine {machine}: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(done.stdout))


def _benchmark(number: int) -> dict[str, float]:
    """The seconds of work by state: those per row at the next larger number of rows that was measured."""
    points = json.loads((ROOT / "docs/performance.json").read_text(encoding="utf-8"))["growth"]
    found = {}
    for state, job in MEASURED.items():
        sizes = sorted((point["rows"], point["seconds"]) for point in points if point["job"] == job)
        size, taken = next((each for each in sizes if each[0] >= number), sizes[-1])
        found[state] = taken * number / size
    return found
