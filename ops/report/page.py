"""The report as one HTML file: the words and tables are written here, the charts are drawn by charts.js."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ops.account import OpsError
from ops.output import plain, told

HERE = Path(__file__).parent
LIBRARIES = Path(__file__).parents[2] / "node_modules"
SCRIPTS = ("d3/dist/d3.min.js", "@observablehq/plot/dist/plot.umd.min.js")
Document = dict[str, Any]


class NoLibrary(OpsError):
    """The plotting library is not installed."""


def page(document: Document) -> str:
    """The report's HTML. Raises NoLibrary."""
    try:
        scripts = "\n".join(f"<script>{(LIBRARIES / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    except FileNotFoundError as error:
        raise NoLibrary(f"{error.filename} is not there: run `make install`") from error
    # A text in the data that closes the script element would end it: `<` is written as JSON's escape.
    data = json.dumps(document, default=plain).replace("<", "\\u003c")
    parts = {
        "TITLE": escape(f"{document['project']}: {document['run'].outcome or document['run'].status}"),
        "CSS": (HERE / "page.css").read_text(encoding="utf-8"),
        "BODY": "\n".join(_sections(document)),
        "DATA": data,
        "LIBRARIES": scripts,
        "CHARTS": (HERE / "charts.js").read_text(encoding="utf-8"),
    }
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"<!--{name}-->", text, 1)
    return html


def _sections(document: Document) -> Iterable[str]:
    run, evaluation = document["run"], document["evaluation"]
    word = run.outcome if run.status == "SUCCEEDED" else run.status.lower()
    cause = run.reason if run.status == "SUCCEEDED" else run.outcome
    took = f"{run.seconds:.0f} s" if run.seconds is not None else "still running"
    yield f'<header><p class="kicker">{escape(document["project"])}, asked for by {escape(run.asked)}</p>'
    yield f'<h1 class="{escape(word)}">{escape(word.capitalize())}</h1><p class="why">{escape(cause)}</p>'
    yield f"<p>Run <code>{escape(run.name)}</code>, {told(run.started)} UTC, {took}</p></header>"
    broken = Counter((step.state, step.error, step.cause) for step in document["steps"] if step.error)
    yield _section("States", _figure("timeline", "Seconds from the run's start, state by state"),
                   _table("What was refused or failed", ("state", "error", "cause", "times"),
                          [(*what, times) for what, times in broken.items()]) if broken else "")  # fmt: skip
    if evaluation:
        yield from _model(document)
    if document["baseline"]:
        yield _data(document)
    lineage = ((what, value) for what, value in document["lineage"].items() if value not in ("", None))
    yield _section("Lineage", _table("Where it came from", ("what", "value"), lineage))
    price = document["cost"]
    lines = [(line["job"], line["instances"], line["seconds"], line["dollars"]) for line in price["jobs"]]
    note = "US dollars are by AWS's price list, on demand; a dash says that it did not answer here."
    lines.append(("all", "", price["seconds"], price["dollars"]))
    yield _section("Cost", _table("Instance seconds", ("job", "instances", "seconds", "dollars"), lines), note=note)


def _model(document: Document) -> Iterable[str]:
    evaluation = document["evaluation"]
    section = next(value for key, value in evaluation.items() if key.endswith("_metrics"))
    rows = [
        (each["name"], each["value"], f"{each['low']:.4g} to {each['high']:.4g}", each["rule"], each["kept"])
        for each in document["metrics"]
    ]
    note = f"On a hold-out of {evaluation['rows']} rows; intervals are 95 %, by the bootstrap."
    headings = ("metric", "value", "interval", "gate", "kept")
    yield _section("Quality", _figure("metrics", "Each metric with its interval, and the gate's bounds"),
                   _table("Metrics", headings, rows), note=note)  # fmt: skip
    if "comparison" in evaluation:
        found = evaluation["comparison"]
        low, high = found["interval"]
        compared = [
            (found["metric"], found["challenger"], found["champion"], found["difference"], f"{low:.4g} to {high:.4g}")
        ]
        yield _section(
            "Challenger against champion",
            _figure("difference", "How much better the challenger is, and the margin it must stay above"),
            _table("On the same rows", ("metric", "challenger", "champion", "difference", "interval"), compared),
            note=f"The champion is the model of run {document['champion']['run'] or 'unknown'}. Above 0 is better.",
        )  # fmt: skip
    charts = []
    if "receiver_operating_characteristic_curve" in section:
        charts = [
            _figure("roc", "ROC: true positives against false positives"),
            _figure("pr", "Precision against recall"),
            _figure("scores", "Scores of the hold-out by true label"),
            _figure("calibration", "Calibration: share of positives against the mean score"),
            _figure("thresholds", "Precision, recall and F1 by threshold"),
        ]
    elif "histogram" in document["profile"]:
        charts = [_figure("scores", "Errors of the hold-out: prediction minus truth")]
    if "confusion_matrix" in section:
        names, cells = document["classes"], section["confusion_matrix"]
        rows = [(names[int(row)], *(cells[row][column] for column in cells)) for row in cells]
        charts.append(_table("Confusion matrix: true label down, predicted across", ("", *names), rows))
    if charts:
        yield _section("Answers", *charts)
    if document["coefficients"]:
        yield _section("Largest coefficients", _figure("coefficients", "Effect of one standard deviation of a feature"))


def _data(document: Document) -> str:
    baseline = document["baseline"]
    rows = [*baseline["rows"].items(), *((f"labelled {name}", n) for name, n in baseline.get("labels", {}).items())]
    other = document["champion"]["baseline"]
    against = "the champion's data" if other else "its own mean and spread"
    counted = [(name.replace("_", " "), count) for name, count in rows]
    return _section("Data", _table("Rows", ("what", "rows"), counted),
                    _figure("features", f"Features: the middle 80 % of the values, against {against}"),
                    note="One row that cannot be read refuses the whole run, so this one refused none.")  # fmt: skip


def _section(title: str, *parts: str, note: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{''.join(parts)}</section>"


def _figure(name: str, caption: str) -> str:
    return f'<figure data-chart="{name}"><figcaption>{escape(caption)}</figcaption></figure>'


def _table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself where the page is narrow; its first column names the row."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' if heading else "<td></td>" for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>' + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return (f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
            f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>")  # fmt: skip


def _cell(value: object) -> str:
    number = isinstance(value, int | float)
    return f"<td{' class=number' if number else ''}>{escape(told(value) if not isinstance(value, str) else value)}</td>"
