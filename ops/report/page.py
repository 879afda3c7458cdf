"""A run's report as one HTML file that needs no network: sections.js writes it, and charts.js draws its charts."""

import json
import webbrowser
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Result, RunName, command, plain, wants_json
from ops.report.contents import Contents, contents
from ops.runs import find

HERE = Path(__file__).parent
LIBRARIES = Path(__file__).parents[2] / "node_modules"
PLOT = (LIBRARIES / "d3/dist/d3.min.js", LIBRARIES / "@observablehq/plot/dist/plot.umd.min.js")


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
    """The report's HTML. Raises OpsError when the plotting library is not installed."""
    run = document["run"]
    return frame(f"{document['project']}: {run.outcome or run.status}", document, "charts.js", "sections.js")


def frame(title: str, data: object, *scripts: Path | str) -> str:
    """The HTML of a page that shows `data`, JSON in its element `run`. Raises OpsError.

    The scripts define `heading`, `sections`, and `charts`: a function per figure that returns an SVG for a width.
    """
    try:
        libraries = "\n".join(f"<script>{file.read_text(encoding='utf-8')}</script>" for file in PLOT)
    except FileNotFoundError as error:
        raise OpsError(f"{error.filename} is not there: run `make install`") from error
    parts = {
        "TITLE": escape(title),
        "CSS": (HERE / "page.css").read_text(encoding="utf-8"),
        # JSON's escape for `<`: a text with `</script>` would end the element.
        "DATA": json.dumps(data, default=plain).replace("<", "\\u003c"),
        "LIBRARIES": libraries,
        "SCRIPTS": "\n".join((HERE / name).read_text(encoding="utf-8") for name in (*scripts, "draw.js")),
    }
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"<!--{name}-->", text, 1)
    return html
