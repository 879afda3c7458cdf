"""The rows of all files in the order of their keys, each as often as it counts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..shared.arrow import Mask
from .copies import Copies, copies
from .data_files import DataFiles, Quarantine, ahead, parallel_map
from .external_sort import SORT_IN_MEMORY, ExternalSort
from .records import Numbers, Ordered, Records

ROWS_AT_A_TIME = 8192
GROUPS_AT_A_TIME = 4  # each is up to a sixteenth of the memory


class SortedRows(ExternalSort):
    """Reads files once and looks at their rows twice; `folder` is for what does not fit into the memory."""

    def __init__(self, folder: Path, files: DataFiles) -> None:
        settings, width = files.settings, 3 + len(files.settings.features)
        memory = max(1, settings.memory_bytes // SORT_IN_MEMORY)
        self._files, self._most = files, max(1, memory // (16 * width))
        self._counted = Copies(by_id=bool(settings.id_columns))
        super().__init__(folder, width, memory, self._counted.joined)

    @property
    def replaced(self) -> int:
        """How many rows a later one with the same ids has replaced."""
        return self._counted.replaced

    def read(self, quarantine: Quarantine, refused: Numbers | None = None) -> None:
        """Take all rows but those at the places `refused`. Raises JobError: an unusable file, or too many bad rows."""
        for records in self._files.records(quarantine):
            self.add(records if refused is None else records[~np.isin(records.places, refused)])

    def looked_at(self) -> Iterator[Records]:
        """Yield all rows as they count, some at a time; adds the copies, so it comes before `last`."""
        for group, alone in parallel_map(self._alone, self.groups(), GROUPS_AT_A_TIME):
            yield from self._looked_at(group, alone)
            del group  # else it stays in memory while the next one is loaded

    def last(self) -> Iterator[Ordered]:
        """Yield all rows in the order of their keys, some at a time, for the last time."""
        return ahead(self._counted.once(self._files.kept(group))[0] for group in self.ordered())

    def _alone(self, load: Callable[[], Records]) -> tuple[Records, Mask]:
        group = self._files.kept(load())
        return group, self._counted.alone(group)

    def _looked_at(self, group: Records, alone: Mask) -> Iterator[Records]:
        for start in range(0, len(group), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            yield group[some] if alone[some].all() else group[some][alone[some]]
        once, counts = self._counted.once(self._counted.joined(group[~alone]))
        rows = once.moved()
        yield rows
        for more in copies(rows, counts, self._most):
            self.add(more)
            yield more
