"""All rows of a folder at once, for tests of how they are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from job_settings import JobSettings
from quarantine import Quarantine
from records import Records, spot
from sources import Source


@dataclass(frozen=True)
class Read:
    records: Records
    names: list[str]

    @property
    def features(self):
        return self.records.features

    @property
    def labels(self):
        return self.records.labels

    def place(self, row: int) -> str:
        return spot(self.names, int(self.records.places[row]))


def read_rows(folder: Path, settings: JobSettings) -> Read:
    source = Source(folder, settings)
    read = [records.words for records in source.records(Quarantine(folder / "quarantine.jsonl", settings.bad_rows))]
    return Read(Records(np.concatenate(read)), source.names)
