"""The second table of docs/failures.md: a row for each drill, as it has gone last."""

import json
import sys
from collections import Counter
from dataclasses import dataclass

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "failures.md"
MEASURED = ROOT / "build" / "drills"
HEADER = "| drill | what was promised | what happened |\n|---|---|---|\n"
BEGIN, END = "<!-- drills: make drills -->\n", "<!-- /drills -->\n"
LEAST = {
    "kill -9": 10,
    "Ctrl-C": 5,
    "disk full": 4,
    "race": 10,
    "web": 8,
    "input": 5,
    "start": 8,
    "diagnosis": 4,
    "load": 1,
}
"""Kinds of drills, and how many there are at least."""


@dataclass(frozen=True)
class Drill:
    """A drill that was made; `outcome` is pytest's."""

    kind: str
    what: str
    promise: str
    happened: str
    outcome: str

    def line(self) -> str:
        """Its row."""
        happened = "the same" if self.happened == self.promise else self.happened
        cells = (f"{self.kind}: {self.what}", self.promise, happened if self.outcome == "passed" else "**broken**")
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"


def rows() -> str:
    """The table of the drills that were made last. Exits when one is broken or a kind has too few."""
    drills = list({Drill(**json.loads(file.read_text())) for file in MEASURED.glob("*.json")})
    drills.sort(key=lambda drill: (list(LEAST).index(drill.kind), drill.what))
    counted = Counter(drill.kind for drill in drills)
    if few := [f"{counted[kind]} of {kind}" for kind, least in LEAST.items() if counted[kind] < least]:
        sys.exit(f"too few drills: {', '.join(few)}")
    if broken := [drill.line() for drill in drills if drill.outcome != "passed"]:
        sys.exit(f"broken:\n{''.join(broken)}")
    return HEADER + "".join(drill.line() for drill in drills)


def main() -> None:
    """`--write` puts the table into the page; else it must stand there."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    page = before + BEGIN + rows() + END + rest.partition(END)[2]
    if "--write" in sys.argv:
        PAGE.write_text(page)
    elif page != PAGE.read_text():
        sys.exit(f"the drills are not those of {PAGE}: see them, then `make drills`")


if __name__ == "__main__":
    main()
