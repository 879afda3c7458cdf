"""Rows that are wrong, kept aside with the reason of each, and how many of them a run bears."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from csv_faults import Refused
from job_settings import BadRows
from problems import TableError

NAMED = 5
"""Faults that a message tells; the first of them, if one is all that there is."""


class Quarantine:
    """Refused rows, one JSON object a line: {file, row, column, reason, text}. No file without such a row."""

    def __init__(self, file: Path, allowed: BadRows) -> None:
        self.file, self.allowed = file, allowed
        self.count = 0
        self.first: list[str] = []
        """What is wrong with the first of them."""

    def add(self, refused: list[Refused]) -> None:
        """Keep rows.

        Raises:
            TableError: they are more than the settings allow of any number of rows.
        """
        if not refused:
            return
        self.count += len(refused)
        self.first += [str(row) for row in refused[: NAMED - len(self.first)]]
        if not self.allowed.share:
            check_budget(self.count, self.first, None, self.allowed)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in refused)


def check_budget(refused: int, first: list[str], read: int | None, allowed: BadRows) -> None:
    """Check that no more rows were refused than the settings allow of the rows read, if that is known.

    Raises:
        TableError: naming the first.
    """
    if refused <= max(allowed.count, allowed.share * (read or 0)):
        return
    if not allowed.count and not allowed.share:
        raise TableError(first[0])
    told = f"{refused} of {read} rows are" if read else f"at least {refused} rows are"
    raise TableError(f"{told} wrong, more than data.bad_rows allows: {'; '.join(first)}")
