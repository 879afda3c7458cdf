"""Measure part by part, print a table, and write the figures as JSON into build/."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from bench.figures import HEADINGS, Figure
from bench.process import PROJECT

Part = Callable[[], Iterator[Figure]]


def report(parts: Mapping[str, Part], name: str, *, small: bool = False, whole: bool = True) -> int:
    """Measure, print, and write `build/<name>`; returns the exit code: 1 if a part fails or a goal is missed.

    If a part fails, the other parts still run. With `small`, only goals that apply at any size count. With `whole`, the
    file loses the figures of parts that do not run now.
    """
    result = PROJECT / "build" / name
    result.parent.mkdir(exist_ok=True)
    console = Console(width=max(160, Console().width))
    figures, failed = list[Figure](), list[str]()
    for number, (part, measure) in enumerate(parts.items(), 1):
        console.print(f"[bold]{part}[/bold] ({number} of {len(parts)}) ...")
        started, found = time.monotonic(), list[Figure]()
        try:
            for figure in measure():
                found.append(figure)
                name, value, baseline, its_value, *_ = figure.cells()
                beside = f", {baseline}: {its_value}" if its_value else ""
                console.print(f"  {time.monotonic() - started:5.0f} s  {name}: {value}{beside}", highlight=False)
        except Exception:
            failed.append(part)
            console.print(traceback.format_exc(), style="red", markup=False)
        took = round(time.monotonic() - started, 1)
        figures += [replace(figure, part=part, seconds=took) for figure in found]
    table = Table("part", *HEADINGS)
    for figure in figures:
        table.add_row(figure.part, *figure.cells())
    console.print(table)
    old = json.loads(result.read_text()) if result.is_file() and not whole else []
    kept = [record for record in old if record.get("part") not in parts]
    result.write_text(json.dumps(kept + [figure.record() for figure in figures], indent=2) + "\n")
    missed = [figure.name for figure in figures if not figure.met and (figure.any_size or not small)]
    if failed or missed:
        console.print("failed:", ", ".join(failed) or "none", "| missed:", "; ".join(missed) or "none", style="red")
    return 1 if failed or missed else 0
