"""The rows of a block: valid ones as numbers, bad ones with their reasons; or a column that is wrong as a whole."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask
from ..shared.errors import BadFile, place
from ..shared.settings import JobSettings
from .columns import read_column
from .hints import FEW, column_fault, value_fault
from .levels import Levels
from .records import Keys, contents_of


@dataclass(frozen=True)
class BadRow:
    """A row that is wrong: its place, the reason, and its text."""

    file: str
    row: int
    column: str | None
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{place(self.file, self.row, self.column)}: {self.reason}"


@dataclass(frozen=True)
class Rows:
    """The valid rows of a block, and the bad ones."""

    features: list[Floats]
    """A column each, in the settings' order: numbers, codes of `Levels`, 1.0 and 0.0; NaN where missing."""
    labels: Floats
    lines: NDArray[np.int64]
    contents: Keys  # a hash of the ids, or of all that is in the row
    bad: list[BadRow] = field(default_factory=list)
    ids: list[pa.Array] = field(default_factory=list)  # of rows to score, a column of text each


@dataclass(frozen=True)
class Cells:
    """What a row holds, as text by column; or the fault of a row that has too few or too many values."""

    text: str
    values: Mapping[str, str]
    fault: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns of a block as numbers, and which rows are wrong by column."""

    features: list[Floats]
    labels: Floats
    contents: Keys
    wrong: dict[str, Mask]
    ids: list[pa.Array] = field(default_factory=list)

    @staticmethod
    def of(
        columns: dict[str, pa.Array], texts: dict[str, pa.Array], settings: JobSettings, levels: Levels
    ) -> "Columns":
        """Return columns, given by name as `read_column` takes them; `texts` are those to know a row by, never null.

        Without a target, rows are known by their place, and keep their ids.
        """
        found = {name: read_column(columns[name], name, settings, levels) for name in settings.reading}
        numbers = [found[name].numbers for name in settings.features]
        wrong = {name: values.wrong for name, values in found.items() if values.wrong is not None}
        if not settings.target:
            none = np.zeros(len(numbers[0]))
            return Columns(numbers, none, none.view(np.uint64), wrong, [texts[name] for name in settings.id_columns])
        known: dict[str, pa.Array | Floats] = {
            name: found[name].numbers if kind == "numeric" and settings.key_texts is None else texts[name]
            for name, (kind, _) in settings.reading.items()
        }
        known |= {name: text for name, text in texts.items() if name not in known}
        return Columns(numbers, found[settings.target].numbers, contents_of(known, settings), wrong)

    def rows(
        self, name: str, lines: NDArray[np.int64], cells: Callable[[int], Cells], settings: JobSettings, start: bool
    ) -> Rows:
        """Return the rows; `cells` returns what one holds, and of `start`, a file's first, whole columns are judged.

        Raises BadFile: most values of a column are wrong.
        """
        if not self.wrong:
            return Rows(self.features, self.labels, lines, self.contents, ids=self.ids)
        doubtful = reduce(np.logical_or, self.wrong.values())
        bad, texts = [], {column: Counter[str]() for column in settings.reading}
        for row in np.flatnonzero(doubtful).tolist():
            held = cells(row)
            if held.fault:
                bad.append(BadRow(name, int(lines[row]), None, held.fault, held.text))
            elif any(held.values.values()):  # else a line of separators alone
                faulty = [column for column in held.values if column in self.wrong and self.wrong[column][row]]
                for column in faulty:
                    texts[column][held.values[column]] += 1
                reason = value_fault(faulty[0], held.values[faulty[0]], settings)
                bad.append(BadRow(name, int(lines[row]), faulty[0], reason, held.text))
        if start and (faults := self._column_faults(texts, settings)):
            raise BadFile(f"{name}: {'; '.join(faults)}")
        valid = ~doubtful
        features = [column[valid] for column in self.features]
        places = pa.array(np.flatnonzero(valid)) if self.ids else None
        ids = [column.take(places) for column in self.ids]
        return Rows(features, self.labels[valid], lines[valid], self.contents[valid], bad, ids)

    def _column_faults(self, texts: dict[str, Counter[str]], settings: JobSettings) -> list[str]:
        numbers = dict(zip(settings.features, self.features, strict=True)) | {settings.target: self.labels}
        faults = []
        for column, found in texts.items():
            wrong = found.total()
            rows = int((~np.isnan(numbers[column]) | self.wrong.get(column, False)).sum())
            if wrong > 1 and (wrong == rows or (rows > FEW and wrong > rows / 2)):
                faults.append(column_fault(column, found, rows, settings))
        return faults
