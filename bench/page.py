"""`python -m bench.page`: what the benchmark measured, as a page with curves: build/bench.html.

With `--docs` it also becomes docs/performance.json, and docs/performance.md and docs/scale.md are made of that. After
`BENCH=small` the page is build/bench-small.html, and documents are not made.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any

from bench import machine, scale_page
from bench.figure import Figure
from bench.process import PROJECT
from ops.report.elements import figure, frame, section, table

BUILD, DOCS = PROJECT / "build", PROJECT / "docs"
HEADINGS = ("what", "ours", "beside", "its value", "ratio", "goal", "met", "what binds")
GROWTH = ("job", "rows", "seconds", "CPU seconds", "µs a row", "peak MB")
RATES = {
    "disk": "written to the disk",
    "copy": "copied in memory, by one core",
    "parse": "CSV parsed in memory, by all cores",
}
WORDS = {"disk": "disk", "memory": "copy", "pars": "parse"}
"""What a figure's limit says, and which of the machine's rates that limit is."""
ANOTHER_RUN = (
    "When it does nothing else, two runs agree on every ratio within 15 %. Not so where memory is dearer at one time",
    "than at another: on a virtual machine whose host takes back what is free (Linux's free page reporting), a GB",
    "taken anew costs up to a second of CPU. Turn that off before.",
)
Document = dict[str, Any]
Row = tuple[str, ...]


def gather(build: Path, size: str = "") -> Document:
    """What `python -m bench` left in `build`, beside the machine; growth is empty when that part was never measured.

    Raises SystemExit when nothing was.
    """
    figures, growth = (build / f"{name}{size}.json" for name in ("bench", "growth"))
    if not figures.exists():
        raise SystemExit(f"{figures} is not there: run `make bench` first")
    return {
        "machine": asdict(machine.measure(build)),
        "figures": json.loads(figures.read_text()),
        "growth": json.loads(growth.read_text()) if growth.exists() else [],
    }


def markdown(document: Document) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Made by `make bench-docs` from [what was measured](performance.json), all of it in one run of `make bench`.",
        f"{_met(document)} What it means for larger machines: [scale](scale.md).",
        *("", "## The machine", ""),
        *_table(("what", "value"), _machine(document)),
        *("", *ANOTHER_RUN),
    ]
    for part, rows in _parts(document):
        lines += ["", f"## {part}", "", *_table(HEADINGS, rows)]
    lines += ["", "## Growth", "", "The whole workflow on more and more rows, job by job.", ""]
    return "\n".join([*lines, *_table(GROWTH, _growth(document))]) + "\n"


def html(document: Document) -> str:
    """build/bench.html: one file that needs no network."""
    return frame("Benchmark", _sections(document), document, Path(__file__).with_name("curves.js"))


def met(record: Document) -> bool:
    """Whether a figure as it stands in build/bench.json reaches its goal; one without a goal does."""
    names = {field.name for field in fields(Figure)}
    return not record["goal"] or Figure(**{name: value for name, value in record.items() if name in names}).met


def _sections(document: Document) -> Iterator[str]:
    yield f'<header><p class="kicker">{escape(document["machine"]["processor"])}</p><h1>Benchmark</h1>'
    yield f'<p class="why">{escape(_met(document))}</p></header>'
    yield section("Beside what one would use instead", figure("ratios", "Ours by theirs; a tick is the goal"))
    yield section(
        "Growth",
        figure("seconds", "Microseconds a row by the number of rows, job by job"),
        figure("memory", "Peak memory in MB by the number of rows, job by job; the dashed line is 1 GiB"),
    )
    yield section("Growth in figures", table("Job by job", GROWTH, _growth(document)))
    for part, rows in _parts(document):
        yield section(part, table("Figures", HEADINGS, rows))
    yield section("The machine", table("Measured in the same run", ("what", "value"), _machine(document)))


def _met(document: Document) -> str:
    goals = [record for record in document["figures"] if record["goal"]]
    missed = [record["name"] for record in goals if not met(record)]
    kept = f"{len(goals) - len(missed)} of {len(goals)} goals are met"
    return f"{kept}; missed: {'; '.join(missed)}." if missed else f"{kept}."


def _machine(document: Document) -> Iterator[Row]:
    described = document["machine"]
    yield "processor", f"{described['processor']}, {described['cores']} cores"
    yield "memory", f"{described['memory']:g} GB"
    for name, what in RATES.items():
        yield what, f"{described[name]:,} MB/s"


def _parts(document: Document) -> Iterator[tuple[str, list[Row]]]:
    for part in dict.fromkeys(record["part"] for record in document["figures"]):
        rows = [_row(record, document["machine"]) for record in document["figures"] if record["part"] == part]
        yield part[:1].upper() + part[1:], rows


def _row(record: Document, described: Document) -> Row:
    unit, other, ratio = record["unit"], record["baseline_value"], record["ratio"]
    beside = "" if other is None else f"{number(other)} {unit}".strip()
    reached = "" if not record["goal"] else "yes" if met(record) else "no"
    return (
        record["name"], f"{number(record['value'])} {unit}".strip(), record["baseline"], beside,
        "" if ratio is None else number(ratio), record["goal"], reached, _limit(record, described),
    )  # fmt: skip


def _limit(record: Document, described: Document) -> str:
    """What binds, and, where the machine's rate of it is known, the share of that rate that the figure is."""
    text = str(record["limit"])
    rate = next((described[name] for word, name in WORDS.items() if word in text.lower()), None)
    if rate is None or record["unit"] != "MB/s":
        return text
    return f"{text}: {record['value'] / rate:.0%} of {rate:,} MB/s"


def _growth(document: Document) -> Iterator[Row]:
    for point in document["growth"]:
        each = number(1e6 * point["seconds"] / point["rows"])
        measured = (number(point[name]) for name in ("seconds", "cpu_seconds"))
        yield point["job"], f"{point['rows']:,}", *measured, each, number(point["peak_mb"])


def number(value: float) -> str:
    """Four digits that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _table(headings: Row, rows: Iterator[Row] | list[Row]) -> Iterator[str]:
    for cells in (headings, ("---",) * len(headings), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: list[str]) -> None:
    """Write the page and, when asked to, the documents."""
    size = "-small" if os.environ.get("BENCH") == "small" else ""
    document = gather(BUILD, size)
    page = BUILD / f"bench{size}.html"
    page.write_text(html(document), encoding="utf-8")
    print(f"the curves: {page.relative_to(PROJECT)}")
    if "--docs" in arguments and not size:
        (DOCS / "performance.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (DOCS / "performance.md").write_text(markdown(document), encoding="utf-8")
        (DOCS / "scale.md").write_text(scale_page.markdown(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
