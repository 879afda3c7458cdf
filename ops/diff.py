"""The difference between two runs: data, settings, hyperparameters, metrics, outcome."""

from typing import Annotated, Any

import typer

from ops.account import Account
from ops.jobs import jobs_of, trained_by, training_job, tuning_job
from ops.output import Result, command, table
from ops.runs import Run, file_of, find, measured
from ops.status import changed_settings


@command
def diff(
    account: Account,
    before: Annotated[str, typer.Argument(help="A run's name or its beginning.")],
    after: Annotated[str, typer.Argument(help="Another run's.")],
) -> Result:
    """Show what differs between two runs: data, settings, hyperparameters, metrics, outcome."""
    pair = find(account, before), find(account, after)
    old, new = (_flat(account, run) for run in pair)
    found = []
    for what in dict.fromkeys([*old, *new]):
        line = {"what": what, "before": old.get(what), "after": new.get(what)}
        if isinstance(line["before"], float) and isinstance(line["after"], float):
            line["difference"] = line["after"] - line["before"]
        if line["before"] != line["after"]:
            found.append(line)
    now = changed_settings(account)
    headings = ("what", pair[0].name[:24], pair[1].name[:24], "difference")
    rows = ((line["what"], line["before"], line["after"], line.get("difference")) for line in found)
    shown = [table(headings, rows) if found else "no difference", *([now] if now else [])]
    return Result(found, shown)


def _flat(account: Account, run: Run) -> dict[str, Any]:
    request, statistics = run.request, file_of(account, run.name, "baseline/baseline.json")
    measures = measured(file_of(account, run.name, "evaluation/evaluation.json"))
    tuning = tuning_job(account, run)
    trained = training_job(account, jobs_of(account, run, trained_by(account, tuning)), tuning)
    return {
        "status": run.status,
        "outcome": run.outcome,
        "started by": run.started_by,
        "seconds": run.seconds,
        "commit": request.get("commit"),
        "settings": request.get("settings"),
        "data": request.get("data", {}).get("fingerprint"),
        "rows": statistics.get("rows", {}).get("read"),
        **{f"rows labelled {label}": count for label, count in statistics.get("labels", {}).items()},
        **{name: entry["value"] for name, entry in measures.items() if "value" in entry},
        **{f"hyperparameter {key}": value for key, value in trained.get("HyperParameters", {}).items()},
        "training image": trained.get("AlgorithmSpecification", {}).get("TrainingImage"),
    }
