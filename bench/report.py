"""Figures as they are measured, then as a table and as JSON in build/."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from bench.figure import Figure
from bench.process import PROJECT

Part = Callable[[], Iterator[Figure]]


def report(parts: Mapping[str, Part], name: str, *, small: bool = False, whole: bool = True) -> int:
    """Measure part by part, show, write `build/<name>`; returns the exit code.

    That is 1 when a part broke, which does not keep the others from their turn, or when a goal is missed.

    Args:
        parts: What to measure, by name.
        name: Of the file.
        small: Only a missed goal that holds at any size counts.
        whole: No figure of a part that is not measured now is left in the file.
    """
    result = PROJECT / "build" / name
    result.parent.mkdir(exist_ok=True)
    console = Console(width=max(160, Console().width))
    figures, broken = list[Figure](), list[str]()
    for number, (part, measure) in enumerate(parts.items(), 1):
        console.print(f"[bold]{part}[/bold] ({number} of {len(parts)}) ...")
        started, found = time.monotonic(), list[Figure]()
        try:
            for figure in measure():
                found.append(figure)
                console.print(f"  {time.monotonic() - started:5.0f} s  {_line(figure)}", highlight=False)
        except Exception:
            broken.append(part)
            console.print(traceback.format_exc(), style="red", markup=False)
        took = round(time.monotonic() - started, 1)
        figures += [replace(figure, part=part, seconds=took) for figure in found]
    console.print(_table(figures))
    old = json.loads(result.read_text()) if result.is_file() and not whole else []
    kept = [record for record in old if record.get("part") not in parts]
    result.write_text(json.dumps(kept + [figure.record() for figure in figures], indent=2) + "\n")
    missed = [figure.name for figure in figures if not figure.met and (figure.any_size or not small)]
    if broken or missed:
        console.print("broken:", ", ".join(broken) or "none", "| missed:", "; ".join(missed) or "none", style="red")
    return 1 if broken or missed else 0


def _line(figure: Figure) -> str:
    beside = "" if figure.baseline_value is None else f", {figure.baseline}: {figure.baseline_value:,.4g}"
    return f"{figure.name}: {figure.value:,.4g} {figure.unit}{beside}"


def _table(figures: list[Figure]) -> Table:
    table = Table("part", "what", "ours", "baseline", "its value", "ratio", "goal", "met")
    for figure in figures:
        other = "" if figure.baseline_value is None else f"{figure.baseline_value:,.4g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.4g}"
        met = "" if not figure.goal else "yes" if figure.met else "NO"
        ours = f"{figure.value:,.4g} {figure.unit}"
        table.add_row(figure.part, figure.name, ours, figure.baseline, other, ratio, figure.goal, met)
    return table
