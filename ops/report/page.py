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

CAPTIONS = {
    "roc": "ROC: true positives against false positives",
    "pr": "Precision against recall",
    "scores": "Scores of the hold-out by true label",
    "calibration": "Calibration: share of positives against the mean score",
    "thresholds": "Precision, recall and F1 by threshold",
}
"""The charts of a binary classifier's answers."""


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
    run = document.run
    word, why = (run.outcome, run.why) if run.status == "SUCCEEDED" else (run.status.lower(), run.outcome)
    took = f"{run.seconds:.0f} s" if run.seconds is not None else "still running"
    warnings = "".join(f'<p class="why">Warning: {escape(warning)}</p>' for warning in run.warnings)
    yield f'<header><p class="kicker">{escape(document.project)}, started by {escape(run.started_by)}</p>'
    yield f'<h1 class="{escape(word)}">{escape(word.capitalize())}</h1><p class="why">{escape(why)}</p>{warnings}'
    yield f"<p>Run <code>{escape(run.name)}</code>, {readable(run.started)} UTC, {took}</p></header>"
    errors = Counter((step.state, step.error, step.cause) for step in document.steps if step.error)
    rows = [(*each, times) for each, times in errors.items()]
    listed = table("Errors, also those that were retried or caught", ("state", "error", "cause", "times"), rows)
    yield section("States", figure("timeline", "Duration of each state"), listed if rows else "")
    yield from _model(document) if document.metrics else ()
    yield from _data(document) if document.baseline else ()
    lineage = ((what, value) for what, value in document.lineage.items() if value not in ("", None))
    yield section("Lineage", table("Origin of the model", ("what", "value"), lineage))
    note = "US dollars by the AWS Price List, on demand; a dash means that the list did not answer."
    headings = ("job", "instances", "seconds", "dollars")
    yield section("Cost", table("Instance seconds", headings, document.cost), note=note)


def _model(document: Contents) -> Iterator[str]:
    each = [(m.name, m.value, f"{m.low:.4g} to {m.high:.4g}", m.rule, m.passed) for m in document.metrics]
    yield section(
        "Quality",
        figure("metrics", "Each metric with its interval, and the quality gate's thresholds"),
        table("Metrics", ("metric", "value", "interval", "gate", "passed"), each),
        note=f"On a hold-out of {document.evaluation['rows']} rows; intervals are 95 %, by the bootstrap.",
    )
    if found := document.evaluation.get("comparison"):
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
    metrics, captions = measured(document.evaluation), {}
    if "receiver_operating_characteristic_curve" in metrics:
        captions = CAPTIONS
    elif "histogram" in document.profile:
        captions = {"scores": "Errors of the hold-out: prediction minus true value"}
    charts = [figure(name, caption) for name, caption in captions.items()]
    if cells := metrics.get("confusion_matrix"):
        rows = [(document.classes[int(row)], *(cells[row][column] for column in cells)) for row in cells]
        caption = "Confusion matrix: true label down, predicted label across"
        charts.append(table(caption, ("", *document.classes), rows))
    if charts:
        yield section("Answers", *charts)
    if document.coefficients:
        yield section("Largest coefficients", figure("coefficients", "Effect of one standard deviation of a feature"))


def _data(document: Contents) -> Iterator[str]:
    counts = {name.replace("_", " "): count for name, count in document.baseline["rows"].items()}
    labels = {f"labelled {name}": count for name, count in document.baseline.get("labels", {}).items()}
    against = "the champion's data" if document.champion_baseline else "its own mean and spread"
    chart = figure("features", f"Features: the middle 80 % of the values, against {against}")
    note = "A run fails above the limits of [data.bad_rows]; bad rows within them are in the quarantine."
    yield section("Data", table("Rows", ("what", "rows"), list((counts | labels).items())), chart, note=note)
