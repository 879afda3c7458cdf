"""The quarantine: bad rows, each with its reason, and the limit of how many a run may have."""

import json
from dataclasses import asdict
from pathlib import Path

from ..shared.errors import DataFileError
from ..shared.settings import BadRowLimit
from .validation import BadRow

MOST_NAMED = 5  # bad rows that a message names


class Quarantine:
    """A file of bad rows, one JSON object per line: {file, row, column, reason, text}. Without such a row, no file."""

    def __init__(self, file: Path, limit: BadRowLimit) -> None:
        self.file, self.limit = file, limit
        self.count = 0
        self.first: list[str] = []  # the faults of the first bad rows

    def add(self, bad: list[BadRow]) -> None:
        """Append rows. Raises DataFileError: they are more than the limit, whatever the number of all rows."""
        if not bad:
            return
        self.count += len(bad)
        self.first += [str(row) for row in bad[: MOST_NAMED - len(self.first)]]
        if not self.limit.share:
            check_limit(self.count, self.first, None, self.limit)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in bad)


def check_limit(bad: int, first: list[str], read: int | None, limit: BadRowLimit) -> None:
    """Check that no more rows are bad than the limit allows of the rows read, if their number is known.

    Raises DataFileError: naming the first of them; DataFileError where the limit is not 0.
    """
    if bad <= max(limit.count, limit.share * (read or 0)):
        return
    if not limit.count and not limit.share:
        raise DataFileError(first[0])
    rows = f"{bad} of {read} rows are" if read else f"at least {bad} rows are"
    raise DataFileError(f"{rows} wrong, more than data.bad_rows allows: {'; '.join(first)}")
