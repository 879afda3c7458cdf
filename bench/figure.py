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
        goal: `ratio` or `value`, a comparison and a number, such as "ratio <= 1.0".
    """

    name: str
    value: float
    unit: str
    baseline: str
    baseline_value: float | None
    goal: str

    @property
    def ratio(self) -> float | None:
        """Ours by the baseline's."""
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        subject, comparison, bound = self.goal.split()
        measured = self.value if subject == "value" else self.ratio
        return measured is not None and bool(_COMPARE[comparison](measured, float(bound)))

    def record(self) -> dict[str, Any]:
        """As it stands in build/bench.json."""
        fields = asdict(self)
        goal = fields.pop("goal")
        return {**fields, "ratio": self.ratio, "goal": goal}
