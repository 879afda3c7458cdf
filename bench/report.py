"""Figures as they are measured, then as a table and as JSON in build/."""

import json
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from bench.figure import Figure
from bench.process import PROJECT


def report(measured: Iterable[Figure], name: str) -> int:
    """Measure, show, write `build/<name>`; returns the exit code, 1 when a goal is missed."""
    result = PROJECT / "build" / name
    result.parent.mkdir(exist_ok=True)
    figures = list[Figure]()
    console = Console(width=max(160, Console().width))
    with console.status("measuring ...") as status:
        for figure in measured:
            figures.append(figure)
            status.update(f"measured: {figure.name}")
    table = Table("what", "ours", "baseline", "its value", "ratio", "goal", "met")
    for figure in figures:
        other = "" if figure.baseline_value is None else f"{figure.baseline_value:,.4g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.4g}"
        ours, met = f"{figure.value:,.4g} {figure.unit}", "yes" if figure.met else "NO"
        table.add_row(figure.name, ours, figure.baseline, other, ratio, figure.goal, met)
    console.print(table)
    result.write_text(json.dumps([figure.record() for figure in figures], indent=2) + "\n")
    return 0 if all(figure.met for figure in figures) else 1
