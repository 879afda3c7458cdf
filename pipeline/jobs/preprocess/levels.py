"""The levels of categorical features: in a row of numbers each is a code, the same in every file and thread."""

from collections.abc import Iterable
from threading import Lock

import numpy as np

from ..shared.arrow import Floats
from ..shared.errors import JobError

LEVELS_PER_KEPT = 100
"""Levels that may be seen, rare ones too, for each that the model may have: they are held in memory."""


class Levels:
    """The levels seen so far of each column of `columns`, by code: at most LEVELS_PER_KEPT times `maximum` of each."""

    def __init__(self, columns: Iterable[str], maximum: int) -> None:
        self._codes: dict[str, dict[str, int]] = {column: {} for column in columns}
        self._most = LEVELS_PER_KEPT * maximum
        self._lock = Lock()

    def codes(self, column: str, levels: Iterable[str]) -> Floats:
        """Return the code of each level, a new one for a level not seen before. Raises JobError: they are too many."""
        known = self._codes[column]
        with self._lock:
            found = [known.setdefault(level, len(known)) for level in levels]
            count = len(known)
        if count > self._most:
            fault = f'column "{column}": more than {self._most} different values'
            raise JobError(f"{fault}: put it in data.ignored_columns, or in data.id_columns if it names a row")
        return np.array(found, np.float64)

    def of(self, column: str) -> list[str]:
        """Return the levels of a column in the order of their codes."""
        return list(self._codes[column])
