"""A measured figure beside its baseline, and all measurements of one run of the benchmark."""

import json
import operator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.machine import Machine

_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}
HEADINGS = ("figure", "value", "baseline", "its value", "ratio", "goal", "met")
Record = dict[str, Any]
"""A figure as JSON."""


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
    any_size: bool = False
    part: str = ""
    seconds: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The value divided by the baseline's."""
        return self.value / self.baseline_value if self.baseline_value else None

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
            self.goal,
            "" if not self.goal else "yes" if self.met else "no",
        )

    def record(self) -> Record:
        """The figure as in build/bench.json."""
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
    """docs/performance.json; `growth` is empty if that part was not measured."""

    machine: Machine
    figures: list[Figure]
    growth: list[Point]

    @classmethod
    def of(cls, machine: Machine, figures: list[Record], growth: list[Record]) -> Self:
        """From records as in build/bench.json and build/growth.json."""
        records = [{name: value for name, value in record.items() if name != "ratio"} for record in figures]
        return cls(machine, [Figure(**record) for record in records], [Point(**point) for point in growth])

    @classmethod
    def load(cls, file: Path) -> Self:
        """From docs/performance.json."""
        document = json.loads(file.read_text(encoding="utf-8"))
        return cls.of(Machine(**document["machine"]), document["figures"], document["growth"])

    def document(self) -> dict[str, Any]:
        """The content of docs/performance.json."""
        return {**asdict(self), "figures": [figure.record() for figure in self.figures]}
