"""A measured figure beside its baseline, and all measurements of one run of the benchmark."""

import json
import operator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.machine import Machine

_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}
HEADINGS = ("figure", "value", "baseline", "its value", "ratio", "spread", "goal", "met")
COMPARABLE = 0.15
"""Two runs agree on a ratio if one is at most this share larger."""
Record = dict[str, Any]
"""A figure or a run as JSON."""


def number(value: float) -> str:
    """Four significant digits, with thousands separators."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        name: What was measured.
        value: The project's value.
        unit: The unit of both values.
        baseline: The program that the project is compared with; empty if there is none.
        baseline_value: The baseline's value, from the same run on the same data.
        goal: `ratio` or `value`, a comparison and a number, such as "ratio <= 1.0"; empty if there is no goal.
        limit: What limits the value.
        limit_value: What this machine reaches at that limit, in the same unit and from the same run.
        spread: How far the turns differ, of their ratios if the baseline took turns, too; `process.spread`.
        varies: Why two runs may differ by more than COMPARABLE; empty if they should not.
        any_size: Whether the goal also applies with BENCH=small.
        part: The part of the benchmark.
        seconds: The duration of that part.
    """

    name: str
    value: float
    unit: str
    baseline: str = ""
    baseline_value: float | None = None
    goal: str = ""
    limit: str = ""
    limit_value: float | None = None
    spread: float | None = None
    varies: str = ""
    any_size: bool = False
    part: str = ""
    seconds: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The value divided by the baseline's."""
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def limited(self) -> str:
        """The limit and, if it was measured, the value as a multiple of it."""
        if not self.limit_value:
            return self.limit
        return (
            f"{self.limit}: {number(self.value / self.limit_value)} x {number(self.limit_value)} {self.unit}".rstrip()
        )

    @property
    def met(self) -> bool:
        """Whether the goal is met; true if there is none."""
        if not self.goal:
            return True
        subject, comparison, bound = self.goal.split()
        measured = self.value if subject == "value" else self.ratio
        return measured is not None and bool(_COMPARE[comparison](measured, float(bound)))

    def cells(self) -> tuple[str, ...]:
        """The figure as a row below HEADINGS."""
        return (
            self.name,
            f"{number(self.value)} {self.unit}".strip(),
            self.baseline,
            "" if self.baseline_value is None else f"{number(self.baseline_value)} {self.unit}".strip(),
            "" if self.ratio is None else number(self.ratio),
            ": ".join(part for part in ("" if self.spread is None else f"{self.spread:.0%}", self.varies) if part),
            self.goal,
            "" if not self.goal else "yes" if self.met else "no",
        )

    def record(self) -> Record:
        """The figure as in build/bench.json, with its ratio for readers of the file."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True)
class Point:
    """A job at one size of the data."""

    rows: int
    job: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Measurements:
    """One run of the benchmark: build/bench.json and docs/performance.json.

    Args:
        run: When it started, in UTC; its id.
        commit: The commit that was measured, with "+" if files were changed since.
        machine: The machine, measured at the start of the run.
        figures: The figures of all parts that succeeded.
        growth: The jobs by size; empty if that part was not measured.
        failed: The parts that failed.
    """

    run: str
    commit: str
    machine: Machine
    figures: list[Figure]
    growth: list[Point]
    failed: list[str]

    @classmethod
    def load(cls, file: Path) -> Self:
        """From a file that `document` gave."""
        document = json.loads(file.read_text(encoding="utf-8"))
        figures = [
            Figure(**{key: value for key, value in each.items() if key != "ratio"}) for each in document["figures"]
        ]
        typed = {"machine": Machine(**document["machine"]), "figures": figures}
        return cls(**document | typed | {"growth": [Point(**point) for point in document["growth"]]})

    def document(self) -> Record:
        """The file's content."""
        return {**asdict(self), "figures": [figure.record() for figure in self.figures]}
