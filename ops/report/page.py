"""The report as one HTML file: the words and tables are written here, the charts are drawn by charts.js."""

from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from ops.output import told
from ops.report.elements import figure, frame, section, table

Document = dict[str, Any]


def page(document: Document) -> str:
    """The report's HTML. Raises NoLibrary."""
    title = f"{document['project']}: {document['run'].outcome or document['run'].status}"
    return frame(title, _sections(document), document, Path(__file__).with_name("charts.js"))


def _sections(document: Document) -> Iterable[str]:
    run, evaluation = document["run"], document["evaluation"]
    word = run.outcome if run.status == "SUCCEEDED" else run.status.lower()
    cause = run.reason if run.status == "SUCCEEDED" else run.outcome
    took = f"{run.seconds:.0f} s" if run.seconds is not None else "still running"
    yield f'<header><p class="kicker">{escape(document["project"])}, asked for by {escape(run.asked)}</p>'
    yield f'<h1 class="{escape(word)}">{escape(word.capitalize())}</h1><p class="why">{escape(cause)}</p>'
    yield f"<p>Run <code>{escape(run.name)}</code>, {told(run.started)} UTC, {took}</p></header>"
    broken = Counter((step.state, step.error, step.cause) for step in document["steps"] if step.error)
    yield section("States", figure("timeline", "Seconds from the run's start, state by state"),
                  table("What was refused or failed", ("state", "error", "cause", "times"),
                         [(*what, times) for what, times in broken.items()]) if broken else "")  # fmt: skip
    if evaluation:
        yield from _model(document)
    if document["baseline"]:
        yield _data(document)
    lineage = ((what, value) for what, value in document["lineage"].items() if value not in ("", None))
    yield section("Lineage", table("Where it came from", ("what", "value"), lineage))
    price = document["cost"]
    lines = [(line["job"], line["instances"], line["seconds"], line["dollars"]) for line in price["jobs"]]
    note = "US dollars are by AWS's price list, on demand; a dash says that it did not answer here."
    lines.append(("all", "", price["seconds"], price["dollars"]))
    yield section("Cost", table("Instance seconds", ("job", "instances", "seconds", "dollars"), lines), note=note)


def _model(document: Document) -> Iterable[str]:
    evaluation = document["evaluation"]
    measured = next(value for key, value in evaluation.items() if key.endswith("_metrics"))
    rows = [
        (each["name"], each["value"], f"{each['low']:.4g} to {each['high']:.4g}", each["rule"], each["kept"])
        for each in document["metrics"]
    ]
    note = f"On a hold-out of {evaluation['rows']} rows; intervals are 95 %, by the bootstrap."
    headings = ("metric", "value", "interval", "gate", "kept")
    yield section("Quality", figure("metrics", "Each metric with its interval, and the gate's bounds"),
                  table("Metrics", headings, rows), note=note)  # fmt: skip
    if "comparison" in evaluation:
        found = evaluation["comparison"]
        low, high = found["interval"]
        compared = [
            (found["metric"], found["challenger"], found["champion"], found["difference"], f"{low:.4g} to {high:.4g}")
        ]
        yield section(
            "Challenger against champion",
            figure("difference", "How much better the challenger is, and the margin it must stay above"),
            table("On the same rows", ("metric", "challenger", "champion", "difference", "interval"), compared),
            note=f"The champion is the model of run {document['champion']['run'] or 'unknown'}. Above 0 is better.",
        )  # fmt: skip
    charts = []
    if "receiver_operating_characteristic_curve" in measured:
        charts = [
            figure("roc", "ROC: true positives against false positives"),
            figure("pr", "Precision against recall"),
            figure("scores", "Scores of the hold-out by true label"),
            figure("calibration", "Calibration: share of positives against the mean score"),
            figure("thresholds", "Precision, recall and F1 by threshold"),
        ]
    elif "histogram" in document["profile"]:
        charts = [figure("scores", "Errors of the hold-out: prediction minus truth")]
    if "confusion_matrix" in measured:
        names, cells = document["classes"], measured["confusion_matrix"]
        rows = [(names[int(row)], *(cells[row][column] for column in cells)) for row in cells]
        charts.append(table("Confusion matrix: true label down, predicted across", ("", *names), rows))
    if charts:
        yield section("Answers", *charts)
    if document["coefficients"]:
        yield section("Largest coefficients", figure("coefficients", "Effect of one standard deviation of a feature"))


def _data(document: Document) -> str:
    baseline = document["baseline"]
    rows = [*baseline["rows"].items(), *((f"labelled {name}", n) for name, n in baseline.get("labels", {}).items())]
    other = document["champion"]["baseline"]
    against = "the champion's data" if other else "its own mean and spread"
    counted = [(name.replace("_", " "), count) for name, count in rows]
    return section("Data", table("Rows", ("what", "rows"), counted),
                   figure("features", f"Features: the middle 80 % of the values, against {against}"),
                   note="More than [data.bad_rows] allows end a run; what it allows is in the quarantine.")  # fmt: skip
