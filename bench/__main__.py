"""`python -m bench`: speed, memory and quality beside what one would use instead.

Prints a table and writes build/bench.json. `BENCH=small` takes a fifth of the rows. Exits with 1 when a goal is missed.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import serving, training, wdbc
from bench.figure import Figure
from bench.process import PROJECT

RESULT = PROJECT / "build/bench.json"


def measure(small: bool) -> Iterator[Figure]:
    """Every figure, as it is measured."""
    RESULT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=RESULT.parent) as folder:
        yield from wdbc.measure(Path(folder), repeats=1 if small else 5)
        yield from serving.measure(Path(folder))
        yield from training.measure(Path(folder), 400_000 if small else 2_000_000)


def main() -> int:
    """Measure, show, write; returns the exit code."""
    figures = list[Figure]()
    console = Console(width=max(160, Console().width))
    with console.status("measuring ...") as status:
        for figure in measure(os.environ.get("BENCH") == "small"):
            figures.append(figure)
            status.update(f"measured: {figure.name}")
    table = Table("what", "ours", "baseline", "its value", "ratio", "goal", "met")
    for figure in figures:
        other = "" if figure.baseline_value is None else f"{figure.baseline_value:,.4g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.4g}"
        ours, met = f"{figure.value:,.4g} {figure.unit}", "yes" if figure.met else "NO"
        table.add_row(figure.name, ours, figure.baseline, other, ratio, figure.goal, met)
    console.print(table)
    RESULT.write_text(json.dumps([figure.record() for figure in figures], indent=2) + "\n")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
