"""docs/failures.md: each fault's row as its test has measured it, compared with the row that stands there."""

import os
import re
from dataclasses import dataclass

from tests.conftest import ROOT
from tests.deployments.cases import WHAT

PAGE = ROOT / "docs" / "failures.md"
MEASURED = ROOT / "build" / "failures"
"""Where the tests leave their rows; `make failures` puts them together."""
HEADER = "| fault | the run | while it ran, the endpoint | after it | notification |\n|---|---|---|---|---|\n"
BEGIN, END = "<!-- rows: make failures -->\n", "<!-- /rows -->\n"


@dataclass(frozen=True)
class Row:
    """What was seen of the fault of this name."""

    name: str
    run: str
    during: str
    after: str
    notification: str

    def line(self) -> str:
        cells = (WHAT[self.name], self.run, self.during, self.after, self.notification)
        return "| " + " | ".join(same_each_time(cell).replace("|", "/") for cell in cells) + " |"


def same_each_time(text: str) -> str:
    """The text without names, figures and places that differ from one run to the next."""
    text = re.sub(r"signature-[0-9a-f]{16}", "signature-…", text)
    text = re.sub(r"[0-9a-f]{24,32}(-[0-9a-f]{8})*(-\d)?", "…", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", text)
    text = re.sub(r"(model-package/\w+/)\d+", r"\1…", text)
    text = re.sub(r"-?\d+\.\d+(e-\d+)?", "…", text)
    text = re.sub(r"\b\d{10,}\b", "…", text)
    text = re.sub(r"(in ALARM: \[)[^]]*", r"\1…", text)  # those that still are when the run looks
    text = re.sub(r"s3://\S+|/\S+/(jobs|endpoints)/\S+", "…", text)
    return re.sub(r"\s+", " ", text).strip()[:400]


def check(row: Row) -> None:
    """Fails unless the page has this very row; under `make failures` the row is written down instead."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    (MEASURED / f"{row.name}.md").write_text(row.line() + "\n")
    if "WRITE_FAILURES" not in os.environ:
        there = row.line() in PAGE.read_text().splitlines()
        assert there, f"not in {PAGE}; see it, then `make failures`:\n{row.line()}"


def write() -> None:
    """Puts the rows, as measured last, into the page."""
    rows = "".join((MEASURED / f"{name}.md").read_text() for name in WHAT)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + HEADER + rows + END + after)


def rows_of() -> list[str]:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    return table.splitlines()[2:]


if __name__ == "__main__":
    write()
