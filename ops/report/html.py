"""The parts of a page in one HTML file, with its charts' script and their library in it."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ops.account import OpsError
from ops.output import plain, readable

HERE = Path(__file__).parent
LIBRARIES = Path(__file__).parents[2] / "node_modules"
SCRIPTS = ("d3/dist/d3.min.js", "@observablehq/plot/dist/plot.umd.min.js")


class NoLibrary(OpsError):
    """The plotting library is not installed."""


def frame(title: str, body: Iterable[str], data: object, charts: Path) -> str:
    """A page's HTML. Raises NoLibrary.

    Args:
        title: The window's title.
        body: Sections.
        data: For the charts: JSON in the element `run`.
        charts: A script that defines `charts`: a function per figure that returns an SVG for a width, or nothing.
    """
    try:
        scripts = "\n".join(f"<script>{(LIBRARIES / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    except FileNotFoundError as error:
        raise NoLibrary(f"{error.filename} is not there: run `make install`") from error
    parts = {
        "TITLE": escape(title),
        "CSS": (HERE / "page.css").read_text(encoding="utf-8"),
        "BODY": "\n".join(body),
        # JSON's escape for `<`: a text with `</script>` would end the element.
        "DATA": json.dumps(data, default=plain).replace("<", "\\u003c"),
        "LIBRARIES": scripts,
        "CHARTS": charts.read_text(encoding="utf-8") + (HERE / "draw.js").read_text(encoding="utf-8"),
    }
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"<!--{name}-->", text, 1)
    return html


def section(title: str, *parts: str, note: str = "") -> str:
    """A heading, a note below it, and the section's parts."""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{below}{''.join(parts)}</section>"


def figure(name: str, caption: str) -> str:
    """The place of a chart."""
    return f'<figure data-chart="{name}"><figcaption>{escape(caption)}</figcaption></figure>'


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself where the page is narrow; its first column names the row."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' if heading else "<td></td>" for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>' + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    number = " class=number" if isinstance(value, int | float) else ""
    return f"<td{number}>{escape(value if isinstance(value, str) else readable(value))}</td>"
