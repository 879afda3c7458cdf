"""The rows of all files in the order of their keys, each as often as it counts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..shared.arrow import Mask
from .copies import Copies, copies
from .data_files import DataFiles, Quarantine
from .external_sort import SORT_IN_MEMORY, ExternalSort, Group
from .parallel import parallel_map
from .records import Numbers, Ordered, Records

ROWS_AT_A_TIME = 8192
GROUPS_AT_A_TIME = 4  # each is up to a sixteenth of the memory


class SortedRows(ExternalSort):
    """Reads files once and looks at their rows twice; `folder` is for what does not fit into the memory."""

    def __init__(self, folder: Path, files: DataFiles) -> None:
        settings, width = files.settings, 3 + len(files.settings.features)
        memory = max(1, settings.memory_bytes // SORT_IN_MEMORY)
        self._files, self._most = files, max(1, memory // (16 * width))
        self._by_id = bool(settings.id_columns)
        # `last` counts what is replaced; rows that are only looked at before it would be counted twice.
        self._counted, self._looked_up = Copies(self._by_id), Copies(self._by_id)
        super().__init__(folder, width, memory, self._counted.joined)

    @property
    def replaced(self) -> int:
        """How many rows a later one with the same ids has replaced, once `last` has yielded all."""
        return self._counted.replaced

    def read(self, quarantine: Quarantine, refused: Numbers | None = None) -> None:
        """Take all rows but those at the places `refused`. Raises JobError: an unusable file, or too many bad rows."""
        for records in self._files.records(quarantine):
            self.add(records if refused is None else records[~np.isin(records.places, refused)])

    def looked_at(self) -> Iterator[Records]:
        """Yield all rows as they count, some at a time; adds the copies, so it comes before `last`."""
        for group, alone in parallel_map(self._alone, self.groups(), GROUPS_AT_A_TIME):
            for start in range(0, len(group), ROWS_AT_A_TIME):
                some = slice(start, start + ROWS_AT_A_TIME)
                yield group[some] if alone[some].all() else group[some][alone[some]]
            yield from self._added(group[~alone])
            del group  # else it stays in memory while the next one is loaded

    def add_copies(self) -> None:
        """Add the copies of rows that count more than once, before `last`; reads few rows if few have any."""
        if not self._by_id:
            for group in parallel_map(self._with_copies, self.groups(), GROUPS_AT_A_TIME):
                for _ in self._added(group):
                    pass

    def last(self) -> Iterator[Ordered]:
        """Yield all rows in the order of their keys, some at a time, for the last time."""
        return self.ordered(self._once)

    def _alone(self, group: Group) -> tuple[Records, Mask]:
        rows = self._files.kept(group.load())
        return rows, self._looked_up.alone(rows)

    def _with_copies(self, group: Group) -> Records:
        """Return the rows of a group that are there several times, if any of them counts more than once."""
        heads = self._files.kept(group.heads())
        several = ~self._looked_up.alone(heads)
        counts = self._looked_up.counts(self._looked_up.joined(heads[several]))
        return self._files.kept(group.load())[several] if (counts > 1).any() else Records(np.empty((0, self._width)))

    def _once(self, group: Records) -> Ordered:
        return self._counted.once(self._counted.joined(self._files.kept(group)))

    def _added(self, several: Records) -> Iterator[Records]:
        """Yield rows as they count, given those that are there several times, and add their copies."""
        joined = self._looked_up.joined(several)
        rows = self._looked_up.once(joined).moved()
        yield rows
        for more in copies(rows, self._looked_up.counts(joined), self._most):
            self.add(more)
            yield more
