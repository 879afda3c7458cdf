"""A measured figure beside that of what one would use instead."""

import operator
from dataclasses import asdict, dataclass
from typing import Any

_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        name: What was measured.
        value: Ours.
        unit: Its unit.
        baseline: What it is compared with; empty when the goal is about the value itself.
        baseline_value: Its figure, from the same run on the same data.
        goal: `ratio` or `value`, a comparison and a number, such as "ratio <= 1.0"; empty when it is only told.
        limit: What binds it.
        any_size: The goal holds for BENCH=small, too.
        part: The part of the benchmark that it belongs to.
        seconds: How long that part took.
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
        """Ours by the baseline's."""
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        if not self.goal:
            return True
        subject, comparison, bound = self.goal.split()
        measured = self.value if subject == "value" else self.ratio
        return measured is not None and bool(_COMPARE[comparison](measured, float(bound)))

    def record(self) -> dict[str, Any]:
        """As it stands in build/bench.json."""
        return {**asdict(self), "ratio": self.ratio}
