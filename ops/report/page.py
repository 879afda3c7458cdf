"""A run's report as one HTML file: text and tables are written here, charts.js draws the charts."""

import webbrowser
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from ops.account import Account
from ops.output import Result, RunName, command, readable, wants_json
from ops.report.contents import Contents, contents
from ops.report.html import figure, frame, section, table
from ops.run_files import measured
from ops.runs import find


@command
def report(
    account: Account,
    run: RunName = "",
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")] = Path("build/reports"),
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> Result:
    """Write a run's report, one HTML file that needs no network, and open it."""
    found = find(account, run)
    out.mkdir(parents=True, exist_ok=True)
    path = (out / f"{found.name}.html").resolve()
    path.write_text(page(contents(account, found)), encoding="utf-8")
    if browse and not wants_json():
        webbrowser.open(path.as_uri())
    return Result({"report": str(path), "run": found}, f"report: {path}")


def page(document: Contents) -> str:
    """The report's HTML. Raises NoLibrary."""
    title = f"{document.project}: {document.run.outcome or document.run.status}"
    return frame(title, _sections(document), document, Path(__file__).with_name("charts.js"))


def _sections(document: Contents) -> Iterator[str]:
    yield from _header(document)
    yield _states(document)
    if document.metrics:
        yield from _quality(document)
    if document.baseline:
        yield _data(document)
    lineage = ((what, value) for what, value in document.lineage.items() if value not in ("", None))
    yield section("Lineage", table("Origin of the model", ("what", "value"), lineage))
    note = "US dollars by the AWS Price List, on demand; a dash means that the list did not answer."
    yield section(
        "Cost", table("Instance seconds", ("job", "instances", "seconds", "dollars"), document.cost), note=note
    )


def _header(document: Contents) -> Iterator[str]:
    run = document.run
    word, why = (run.outcome, run.why) if run.status == "SUCCEEDED" else (run.status.lower(), run.outcome)
    took = f"{run.seconds:.0f} s" if run.seconds is not None else "still running"
    yield f'<header><p class="kicker">{escape(document.project)}, started by {escape(run.started_by)}</p>'
    yield f'<h1 class="{escape(word)}">{escape(word.capitalize())}</h1><p class="why">{escape(why)}</p>'
    yield "".join(f'<p class="why">Warning: {escape(warning)}</p>' for warning in run.warnings)
    yield f"<p>Run <code>{escape(run.name)}</code>, {readable(run.started)} UTC, {took}</p></header>"


def _states(document: Contents) -> str:
    errors = Counter((step.state, step.error, step.cause) for step in document.steps if step.error)
    rows = [(*each, times) for each, times in errors.items()]
    listed = table("Errors, also those that were retried or caught", ("state", "error", "cause", "times"), rows)
    return section("States", figure("timeline", "Duration of each state"), listed if rows else "")


def _quality(document: Contents) -> Iterator[str]:
    evaluated = document.evaluation
    rows: list[tuple[object, ...]] = [
        (each.name, each.value, f"{each.low:.4g} to {each.high:.4g}", each.rule, each.passed)
        for each in document.metrics
    ]
    yield section(
        "Quality",
        figure("metrics", "Each metric with its interval, and the quality gate's thresholds"),
        table("Metrics", ("metric", "value", "interval", "gate", "passed"), rows),
        note=f"On a hold-out of {evaluated['rows']} rows; intervals are 95 %, by the bootstrap.",
    )
    if found := evaluated.get("comparison"):
        low, high = found["interval"]
        line = (
            found["metric"],
            found["challenger"],
            found["champion"],
            found["difference"],
            f"{low:.4g} to {high:.4g}",
        )
        yield section(
            "Challenger against champion",
            figure("difference", "The challenger's lead over the champion, and the margin that it must stay above"),
            table("On the same rows", ("metric", "challenger", "champion", "difference", "interval"), [line]),
            note=f"The champion is the model of run {document.champion or 'unknown'}. Above 0 is better.",
        )
    if charts := _answers(document):
        yield section("Answers", *charts)
    if document.coefficients:
        yield section("Largest coefficients", figure("coefficients", "Effect of one standard deviation of a feature"))


def _answers(document: Contents) -> list[str]:
    metrics, charts = measured(document.evaluation), {}
    if "receiver_operating_characteristic_curve" in metrics:
        charts = {
            "roc": "ROC: true positives against false positives",
            "pr": "Precision against recall",
            "scores": "Scores of the hold-out by true label",
            "calibration": "Calibration: share of positives against the mean score",
            "thresholds": "Precision, recall and F1 by threshold",
        }
    elif "histogram" in document.profile:
        charts = {"scores": "Errors of the hold-out: prediction minus true value"}
    found = [figure(name, caption) for name, caption in charts.items()]
    if cells := metrics.get("confusion_matrix"):
        names = document.classes
        rows = [(names[int(row)], *(cells[row][column] for column in cells)) for row in cells]
        found.append(table("Confusion matrix: true label down, predicted label across", ("", *names), rows))
    return found


def _data(document: Contents) -> str:
    statistics = document.baseline
    labels = {f"labelled {name}": count for name, count in statistics.get("labels", {}).items()}
    rows = [(name.replace("_", " "), count) for name, count in {**statistics["rows"], **labels}.items()]
    against = "the champion's data" if document.champion_baseline else "its own mean and spread"
    return section(
        "Data",
        table("Rows", ("what", "rows"), rows),
        figure("features", f"Features: the middle 80 % of the values, against {against}"),
        note="A run fails above the limits of [data.bad_rows]; bad rows within them are in the quarantine.",
    )
