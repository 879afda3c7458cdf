"""What is learnt of the rows before they are written: the encoder of the training rows, levels, and a sample."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared.documents import Categories
from ..shared.encoder import Encoder, Feature
from ..shared.errors import JobError
from .baseline import in_sample
from .encoding import BOOLEANS
from .levels import Levels
from .parts import Parts
from .records import Numbers, Records


class Learner:
    """Counts levels and missing values of rows, and samples the rows; `read` is how many there are at most."""

    def __init__(self, parts: Parts, levels: Levels, read: int) -> None:
        settings = parts.settings
        self.parts, self._settings, self._levels, self._read = parts, settings, levels, read
        self._sample: list[Records] = []
        self._rows = 0
        # Of each feature the rows that lack a value, and those of each code: outside of train, and in train.
        self._missing = np.zeros((len(settings.features), 2), np.int64)
        self._counts = {name: np.zeros((2, 2), np.int64) for name in settings.features}

    def add(self, rows: Records) -> None:
        """Take rows, in any order."""
        self._sample.append(rows[in_sample(rows, self._read, self._settings)])
        self._rows += len(rows)
        in_part = self.parts.in_train(rows).astype(np.int64)
        for number, name, kind, imputed in self._features():
            if kind == "numeric" and not imputed:
                continue
            values, train = np.ascontiguousarray(rows.features[:, number]), in_part
            if imputed and (missing := np.isnan(values)).any():
                self._missing[number] += np.bincount(train[missing], minlength=2)
                values, train = values[~missing], train[~missing]
            if kind != "numeric":
                known = self._counts[name]
                counts = np.bincount(2 * values.astype(np.int64) + train, minlength=known.size)
                counts = np.pad(counts, (0, len(counts) % 2)).reshape(-1, 2)
                counts[: len(known)] += known
                self._counts[name] = counts

    def encoder(self) -> Encoder:
        """Return the encoder of the training rows; medians are exact while every row is in the sample, else of it.

        Raises JobError: a feature has too many levels to learn, or no value.
        """
        sample = Records(np.concatenate([rows.words for rows in self._sample]))
        sample, self._sample = sample[self.parts.in_train(sample)], []
        return Encoder(tuple(self._feature(*feature, sample) for feature in self._features()))

    def _feature(self, number: int, name: str, kind: str, imputed: bool, sample: Records) -> Feature:
        missing = bool(self._missing[number, 1])
        known = self._known(number, name, kind, sample) if imputed else np.zeros(1)
        if not len(known):
            raise JobError(f'column "{name}": no row of train has a value: put it in data.ignored_columns')
        if kind == "numeric":
            return Feature(name, kind, imputed, float(np.median(known)), indicator=missing)
        if kind == "boolean":
            return Feature(name, kind, imputed, indicator=missing)
        kept, rare = self._kept(name)
        return Feature(name, kind, imputed, levels=tuple(kept), other=rare, indicator=missing)

    def _known(self, number: int, name: str, kind: str, sample: Records) -> NDArray[Any]:
        """Return the values of a numeric feature in train, or the codes that are there of another one."""
        values: NDArray[Any] = sample.features[:, number]
        return values[~np.isnan(values)] if kind == "numeric" else self._counts[name][:, 1].nonzero()[0]

    def _kept(self, name: str) -> tuple[list[str], bool]:
        """Return the levels that the encoder keeps, and whether a training row has another one."""
        limits, counts = self._settings.levels, self._by_level(name, self._counts[name][:, 1])
        kept = sorted(level for level, count in counts.items() if count >= limits.minimum_rows)
        # With all levels rare the column says nothing.
        if len(kept) > limits.maximum or (not kept and len(counts) > limits.maximum):
            having = f"at least {limits.minimum_rows}" if kept else f"less than {limits.minimum_rows}"
            fault = f"{len(kept or counts)} levels have {having} rows of train, data.levels.maximum is {limits.maximum}"
            advice = "put it in data.ignored_columns, or in data.id_columns if it names a row"
            raise JobError(f'column "{name}": {fault}: {advice}')
        return kept, any(0 < count < limits.minimum_rows for count in counts.values())

    def _by_level(self, name: str, counts: Numbers) -> dict[str, int]:
        by_level = zip(self._levels.of(name), counts.tolist(), strict=False)
        return {level: count for level, count in by_level if count}

    def categories(self) -> dict[str, Categories]:
        """Return the rows by level of each feature that is no number."""
        found: dict[str, Categories] = {}
        for number, name, kind, _ in self._features():
            counts, missing = self._counts[name].sum(axis=1), self._missing[number].sum() / max(1, self._rows)
            if kind == "categorical":
                by_level = sorted(self._by_level(name, counts).items(), key=lambda item: (-item[1], item[0]))
                found[name] = {"kind": "categorical", "levels": dict(by_level), "missing": float(missing)}
            elif kind == "boolean":
                by_meaning = dict(zip(BOOLEANS, counts.tolist(), strict=True))
                found[name] = {"kind": "boolean", "levels": by_meaning, "missing": float(missing)}
        return found

    def _features(self) -> Iterator[tuple[int, str, str, bool]]:
        wanted = self._settings
        return zip(range(len(wanted.features)), wanted.features, wanted.kinds, wanted.imputed, strict=True)
