"""Measure part by part, print a table, and write one run's figures as JSON into build/."""

import json
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.figures import HEADINGS, Figure, Measurements, Point
from bench.machine import Machine
from bench.process import PROJECT

Part = Callable[[], Iterator[Figure | Point]]


def report(machine: Machine, parts: Mapping[str, Part], name: str, *, small: bool = False) -> int:
    """Measure, print, and write `build/<name>`; returns the exit code: 1 if a part fails or a goal is missed.

    The file is of this run alone. If a part fails, the other parts still run. With `small`, only goals that apply at
    any size count.
    """
    result = PROJECT / "build" / name
    result.parent.mkdir(exist_ok=True)
    console = Console(width=max(160, Console().width))
    run = Measurements(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", _commit(), machine, [], [], [])
    for number, (part, measure) in enumerate(parts.items(), 1):
        console.print(f"[bold]{part}[/bold] ({number} of {len(parts)}) ...")
        started, found = time.monotonic(), list[Figure]()
        try:
            for measured in measure():
                if isinstance(measured, Point):
                    run.growth.append(measured)
                    continue
                found.append(measured)
                name, value, baseline, its_value, *_ = measured.cells()
                beside = f", {baseline}: {its_value}" if its_value else ""
                console.print(f"  {time.monotonic() - started:5.0f} s  {name}: {value}{beside}", highlight=False)
        except Exception:
            run.failed.append(part)
            console.print(traceback.format_exc(), style="red", markup=False)
        took = round(time.monotonic() - started, 1)
        run.figures.extend(replace(figure, part=part, seconds=took) for figure in found)
    table = Table("part", *HEADINGS)
    for figure in run.figures:
        table.add_row(figure.part, *figure.cells())
    console.print(table)
    result.write_text(json.dumps(run.document(), indent=1) + "\n")
    missed = [figure.name for figure in run.figures if not figure.met and (figure.any_size or not small)]
    if run.failed or missed:
        failed = ", ".join(run.failed) or "none"
        console.print("failed:", failed, "| missed:", "; ".join(missed) or "none", style="red")
    return 1 if run.failed or missed else 0


def _commit() -> str:
    """The commit of the files that are measured, with "+" if they are not those of the commit; "" outside of git."""
    command = ["git", "describe", "--always", "--abbrev=9", "--exclude=*", "--dirty=+"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout.strip()
