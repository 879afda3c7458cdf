"""What is learnt of the rows before they are written: the encoder of the training rows, levels, and a sample."""

from collections.abc import Iterator

import numpy as np

from ..shared.arrow import Floats
from ..shared.documents import Categories
from ..shared.encoder import Encoder, Feature
from ..shared.errors import JobError
from ..shared.settings import JobSettings
from .baseline import in_sample
from .encoding import BOOLEANS
from .levels import Levels
from .records import Records
from .split import in_train

ALL, TRAIN = 0, 1


class Learner:
    """Counts levels and missing values of rows, and samples the rows; `read` is how many there are at most."""

    def __init__(self, settings: JobSettings, levels: Levels, read: int) -> None:
        self._settings, self._levels, self._read = settings, levels, read
        self.sample: list[Records] = []
        self._rows = 0
        self._missing = np.zeros((2, len(settings.features)), np.int64)
        self._counts = {name: [np.zeros(2, np.int64)] * 2 for name in settings.features}

    def add(self, rows: Records) -> None:
        """Take rows, in any order."""
        self.sample.append(rows[in_sample(rows, self._read, self._settings)])
        if not self._settings.encoded:
            return
        self._rows += len(rows)
        for which, some in ((ALL, rows), (TRAIN, rows[in_train(rows, self._settings)])):
            for number, name, kind, imputed in self._features():
                if kind == "numeric" and not imputed:
                    continue
                values = some.features[:, number]
                there = values[~np.isnan(values)]
                self._missing[which, number] += len(values) - len(there)
                if kind != "numeric":
                    counts = np.bincount(there.astype(np.int64), minlength=len(self._counts[name][which]))
                    counts[: len(self._counts[name][which])] += self._counts[name][which]
                    self._counts[name][which] = counts

    def encoder(self) -> Encoder:
        """Return the encoder of the training rows; medians are exact while every row is in the sample, else of it.

        Raises JobError: a feature has too many levels to learn, or no value.
        """
        sample = Records(np.concatenate([rows.words for rows in self.sample]))
        sample = sample[in_train(sample, self._settings)]
        return Encoder(tuple(self._feature(*feature, sample) for feature in self._features()))

    def _feature(self, number: int, name: str, kind: str, imputed: bool, sample: Records) -> Feature:
        missing = bool(self._missing[TRAIN, number])
        if kind == "numeric":
            median = _median(sample.features[:, number], name) if imputed else 0.0
            return Feature(name, kind, imputed, median, indicator=missing)
        if kind == "boolean":
            return Feature(name, kind, imputed, indicator=missing)
        kept, rare = self._kept(name)
        return Feature(name, kind, imputed, levels=tuple(kept), other=rare, indicator=missing)

    def _kept(self, name: str) -> tuple[list[str], bool]:
        """Return the levels that the encoder keeps, and whether a training row has another one."""
        limits, counts = self._settings.levels, self._level_counts(name, TRAIN)
        kept = sorted(level for level, count in counts.items() if count >= limits.minimum_rows)
        many = f"{len(kept)} levels" if len(kept) > limits.maximum else f"{len(counts)} levels, each"
        if len(kept) > limits.maximum or (not kept and len(counts) > limits.maximum):
            rows = "at least" if len(kept) > limits.maximum else "less than"
            raise JobError(
                f'column "{name}": {many} in {rows} {limits.minimum_rows} rows of train, more than data.levels.maximum'
                f" ({limits.maximum}): put it in data.ignored_columns, or in data.id_columns if it names a row"
            )
        return kept, any(0 < count < limits.minimum_rows for count in counts.values())

    def _level_counts(self, name: str, which: int) -> dict[str, int]:
        counts = zip(self._levels.of(name), self._counts[name][which].tolist(), strict=False)
        return {level: count for level, count in counts if count}

    def categories(self) -> dict[str, Categories]:
        """Return the rows by level of each feature that is no number."""
        found: dict[str, Categories] = {}
        for _, name, kind, _ in self._features():
            if kind == "categorical":
                levels = dict(sorted(self._level_counts(name, ALL).items(), key=lambda item: (-item[1], item[0])))
                found[name] = {"kind": "categorical", "levels": levels, "missing": self.missing[name]}
            elif kind == "boolean":
                levels = dict(zip(BOOLEANS, self._counts[name][ALL].tolist(), strict=True))
                found[name] = {"kind": "boolean", "levels": levels, "missing": self.missing[name]}
        return found

    @property
    def missing(self) -> dict[str, float]:
        """The share of rows that lack a value, by feature: of those that are imputed or no numbers."""
        shares = (self._missing[ALL] / max(1, self._rows)).tolist()
        return {name: shares[n] for n, name, kind, imputed in self._features() if imputed or kind != "numeric"}

    def _features(self) -> Iterator[tuple[int, str, str, bool]]:
        wanted = self._settings
        return zip(range(len(wanted.features)), wanted.features, wanted.kinds, wanted.imputed, strict=True)


def _median(values: Floats, name: str) -> float:
    there = values[~np.isnan(values)]
    if not len(there):
        raise JobError(f'column "{name}": no row of train has a value: put it in data.ignored_columns')
    return float(np.median(there))
