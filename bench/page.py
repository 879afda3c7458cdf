"""`python -m bench.page`: the measurements as a page with charts, build/bench.html.

`--docs` also writes docs/performance.json, docs/performance.md and docs/scale.md, unless a part failed. After
`BENCH=small` the page is build/bench-small.html, and `--docs` has no effect.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import scale_page
from bench.deployment import WAIT_SCALE
from bench.figures import COMPARABLE, HEADINGS, Measurements, number
from bench.machine import Machine
from bench.process import PROJECT
from ops.report.page import frame

BUILD, DOCS = PROJECT / "build", PROJECT / "docs"
COLUMNS = (*HEADINGS, "limit")
MACHINE = ("property", "value")
GROWTH = ("job", "rows", "seconds", "CPU seconds", "µs per row", "peak MB")
ANOTHER_RUN = (
    f"On an idle machine, two runs agree on every ratio within {COMPARABLE:.0%}, unless the figure says why not;",
    "`python -m bench.compare ONE.json OTHER.json` lists ratios that differ. The spread is the largest of a figure's",
    "turns divided by the smallest, minus one: of the turns' ratios if the baseline took turns, too. A limit is",
    "followed by the value as a multiple of what this machine reaches at that limit, where that can be measured. On a",
    "virtual machine whose host takes back free memory (Linux's free page reporting) each new GB costs up to a second",
    "of CPU. Turn it off first.",
    "",
    f"Wait states of the local AWS take {WAIT_SCALE:g} of their seconds, unless the figure says otherwise.",
)
Row = tuple[str, ...]


def gather(build: Path, size: str = "") -> Measurements:
    """The result of `python -m bench` in `build`. Raises SystemExit if there is none."""
    file = build / f"bench{size}.json"
    if not file.exists():
        raise SystemExit(f"{file} is not there: run `make bench` first")
    return Measurements.load(file)


def markdown(run: Measurements) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "`make bench-docs` writes this file from [the measurements](performance.json) of one run of `make bench`.",
        f"{_source(run)} {_goals(run)}",
        "See [scale](scale.md) for larger loads and larger data.",
        *("", "## The machine", ""),
        *_table(MACHINE, _machine(run.machine)),
        *("", *ANOTHER_RUN),
    ]
    for part, rows in _parts(run):
        lines += ["", f"## {part}", "", *_table(COLUMNS, rows)]
    lines += ["", "## Jobs by size", "", "The whole workflow on more and more rows, job by job.", ""]
    return "\n".join([*lines, *_table(GROWTH, _growth(run))]) + "\n"


def html(run: Measurements) -> str:
    """build/bench.html: one file that needs no network."""
    heading = {"kicker": run.machine.processor, "title": "Benchmark", "lines": [_source(run), _goals(run)]}
    document = {**run.document(), "heading": heading, "sections": list(_sections(run))}
    return frame("Benchmark", document, Path(__file__).with_name("curves.js"))


def _sections(run: Measurements) -> Iterator[dict[str, object]]:
    ratios = {"figure": "ratios", "caption": "The project's value divided by the baseline's; a tick is the goal"}
    seconds = {"figure": "seconds", "caption": "Microseconds per row by the number of rows, job by job"}
    memory = "Peak memory in MB by the number of rows, job by job; the dashed line is 500 MB"
    yield {"title": "Ratios", "parts": [ratios]}
    yield {"title": "Growth", "parts": [seconds, {"figure": "memory", "caption": memory}]}
    yield {"title": "Growth in figures", "parts": [_drawn("Job by job", GROWTH, _growth(run))]}
    for part, rows in _parts(run):
        yield {"title": part, "parts": [_drawn("Figures", COLUMNS, rows)]}
    yield {"title": "The machine", "parts": [_drawn("Measured in the same run", MACHINE, _machine(run.machine))]}


def _drawn(caption: str, headings: Row, rows: Iterable[Row]) -> dict[str, object]:
    return {"caption": caption, "headings": headings, "rows": list(rows)}


def _source(run: Measurements) -> str:
    changed = " with changes" if run.commit.endswith("+") else ""
    return f"Run of {run.run} UTC, commit {run.commit.removesuffix('+')}{changed}."


def _goals(run: Measurements) -> str:
    goals = [each for each in run.figures if each.goal]
    missed = [each.name for each in goals if not each.met]
    met = f"{len(goals) - len(missed)} of {len(goals)} goals are met"
    return f"{met}; missed: {'; '.join(missed)}." if missed else f"{met}."


def _machine(machine: Machine) -> Iterator[Row]:
    yield "processor", f"{machine.processor}, {machine.cores} cores"
    yield "memory", f"{machine.memory:g} GB"
    yield "written to the disk", f"{machine.disk:,} MB/s"
    yield "copied in memory, by one core", f"{machine.copy:,} MB/s"
    yield "CSV parsed in memory, by all cores", f"{machine.parse:,} MB/s"


def _parts(run: Measurements) -> Iterator[tuple[str, list[Row]]]:
    for part in dict.fromkeys(each.part for each in run.figures):
        figures = [each for each in run.figures if each.part == part]
        yield part[:1].upper() + part[1:], [(*each.cells(), each.limited) for each in figures]


def _growth(run: Measurements) -> Iterator[Row]:
    for point in run.growth:
        values = (point.seconds, point.cpu_seconds, 1e6 * point.seconds / point.rows, point.peak_mb)
        yield point.job, f"{point.rows:,}", *map(number, values)


def _table(headings: Row, rows: Iterator[Row] | list[Row]) -> Iterator[str]:
    for cells in (headings, ("---",) * len(headings), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: list[str]) -> None:
    """Write the page and, with `--docs`, the documents."""
    size = "-small" if os.environ.get("BENCH") == "small" else ""
    run = gather(BUILD, size)
    page = BUILD / f"bench{size}.html"
    page.write_text(html(run), encoding="utf-8")
    print(f"charts: {page.relative_to(PROJECT)}")
    if "--docs" in arguments and not size:
        if run.failed:
            raise SystemExit(f"{', '.join(run.failed)} failed: run `make bench` again")
        (DOCS / "performance.json").write_text(json.dumps(run.document(), indent=1) + "\n", encoding="utf-8")
        (DOCS / "performance.md").write_text(markdown(run), encoding="utf-8")
        (DOCS / "scale.md").write_text(scale_page.markdown(run), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
