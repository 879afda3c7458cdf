"""Checked rows as the job moves and sorts them: one matrix of 8-byte words, a row each."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..shared.arrow import Floats, Mask, positions
from ..shared.settings import FileFormat, JobSettings
from .columns import NumberForm, missing_numbers, to_mask

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Column: TypeAlias = Any
"""A column of a file: text, plain or dictionary-encoded, or numbers with NaN where one is missing."""

LINE_BITS = 40
"""A row's place is the file's number above these bits, for 8 million files of 1.1e12 lines. Within them is its line, or
without id columns how many equal rows of the file it stands for."""
ROWS_AT_A_TIME = 4096  # rows looked at together: few enough for the cache, enough not to wait for Python's lock
TEXTS_AT_A_TIME = 4096
FEW_TEXTS, MOST_KNOWN = 500, 5000
"""So few different texts of a block are looked up among those known, of which there are at most so many per column."""
EXACT = 2.0**53
"""Whole numbers from here on share a float with others: as texts they are told apart by their digits."""


@dataclass(frozen=True)
class Records:
    """Rows with the key that decides their part and their order, and the place they came from."""

    words: Floats
    """Shape (rows, 3 + features): the bits of key and place, the label, the features in the settings' order."""

    @staticmethod
    def of(columns: list[Floats], labels: Floats, places: Numbers, contents: Keys) -> "Records":
        """Return rows made of columns, -0.0 as 0.0; `contents` become the keys."""
        words = np.empty((len(labels), 3 + len(columns)))
        words[:, 0] = contents.view(np.float64)
        words[:, 1] = places.view(np.float64)
        words[:, 2] = labels + 0.0
        for start in range(0, len(words), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            for number, column in enumerate(columns, 3):
                np.add(column[rows], 0.0, out=words[rows, number])
        return Records(words)

    @property
    def keys(self) -> Keys:
        """Shape (rows,): decides the part of a row, and its order."""
        return self.words.view(np.uint64)[:, 0]

    @property
    def places(self) -> Numbers:
        """Shape (rows,): where each comes from, see LINE_BITS."""
        return self.words.view(np.int64)[:, 1]

    @property
    def labels(self) -> Floats:
        """Shape (rows,): the class number, or the value for regression."""
        return self.words[:, 2]

    @property
    def features(self) -> Floats:
        """Shape (rows, features)."""
        return self.words[:, 3:]

    @property
    def counts(self) -> Numbers:
        """Shape (rows,): how many equal rows of its file each stands for; without id columns."""
        return self.places & ((1 << LINE_BITS) - 1)

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Records":
        """Return some of the rows, by a slice, a mask or their numbers."""
        if isinstance(rows, slice) or rows.dtype == np.bool_:
            return Records(self.words[rows])
        return Records(self.words.take(rows, axis=0))  # twice as fast as by an index

    def order(self) -> Numbers:
        """Return the rows' numbers by key, then place."""
        order: Numbers = np.argsort(self.keys)
        twins = repeated(self.keys[order])
        among = order[twins]
        order[twins] = among[np.lexsort((self.places[among], self.keys[among]))]
        return order


@dataclass(frozen=True)
class Ordered:
    """Rows in the order of their keys that are not moved yet: to copy some of them when they are needed is cheaper."""

    rows: Records
    order: Numbers
    """Shape (rows,): their numbers in `rows`."""

    @cached_property
    def keys(self) -> Keys:
        """Shape (rows,)."""
        keys: Keys = self.rows.keys[self.order]
        return keys

    @property
    def places(self) -> Numbers:
        """Shape (rows,)."""
        places: Numbers = self.rows.places[self.order]
        return places

    @property
    def counts(self) -> Numbers:
        """Shape (rows,)."""
        counts: Numbers = self.rows.counts[self.order]
        return counts

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, some: slice | NDArray[Any]) -> "Ordered":
        return Ordered(self.rows, self.order[some])

    def moved(self) -> Records:
        """Return a copy of the rows, in this order."""
        return self.rows[self.order]


def first_of_each(ordered: Keys) -> Mask:
    """Return which of the keys, given in order, are the first of their kind."""
    found: Mask = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    return found


def repeated(ordered: Keys) -> Mask:
    """Return which of the keys, given in order, are there more than once."""
    again = np.concatenate(([False], ordered[1:] == ordered[:-1], [False]))
    found: Mask = (again[1:] | again[:-1])[: len(ordered)]
    return found


def mixed(keys: Keys) -> Keys:
    """Return other keys, as if drawn again: splitmix64 (Steele, Lea and Flood, "Fast splittable PRNGs", 2014)."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys ^= keys >> np.uint64(shift)
        keys *= np.uint64(factor)
    keys ^= keys >> np.uint64(31)
    return keys


def contents_of(columns: Mapping[str, Column], settings: JobSettings) -> Keys:
    """Return a hash of each row, shape (rows,): of its ids if the settings have id columns, else of all its columns.

    `columns` are those of a file by name, in any order. A finite number counts by its value, however it is written, any
    other text by its characters; a missing value is the same as no such column. The roles of columns do not matter. A
    row that has none of its ids is known by all its columns.
    """
    keys = _sums(columns, settings.id_columns or tuple(columns), settings)
    if settings.id_columns and not keys.all():
        keys = np.where(keys, keys, _sums(columns, tuple(columns), settings))
    return mixed(keys)


def _sums(columns: Mapping[str, Column], names: Sequence[str], settings: JobSettings) -> Keys:
    keys = np.zeros(len(columns[names[0]]), np.uint64)
    for name in names:
        column, seed = columns[name], _seed(f"{settings.salt}\0{name}")
        is_number = isinstance(column, np.ndarray)
        keys += _number_hashes(column, seed) if is_number else _text_hashes(column, seed, settings)
    return keys


@lru_cache(maxsize=10_000)
def _seed(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little"))


def _number_hashes(values: Floats, seed: np.uint64) -> Keys:
    hashes = mixed((values + 0.0).view(np.uint64) ^ seed)
    if np.isnan(values.min(initial=0.0)):
        hashes[np.isnan(values)] = 0
    return hashes


def _text_hashes(column: pa.Array, seed: np.uint64, settings: JobSettings) -> Keys:
    """Return the hash of each text; each different one is looked at once, or once for all blocks if they are few."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pc.cast(encoded.dictionary, pa.string())
    hashes = np.zeros(len(texts) + 1, np.uint64)
    if len(texts) > FEW_TEXTS:
        hashes[:-1] = _hashes_of(texts, seed, settings)
    else:
        known = _known(int(seed), settings.format, _missing(settings))
        words = texts.to_pylist()
        if rest := [word for word in words if word not in known]:
            new = dict(zip(rest, _hashes_of(pa.array(rest, pa.string()), seed, settings).tolist(), strict=True))
            if len(known) < MOST_KNOWN:
                known.update(new)
            known = known | new
        hashes[:-1] = [known[word] for word in words]
    found: Keys = hashes[positions(encoded.indices, len(texts))]
    return found


@lru_cache(maxsize=1000)
def _known(_seed: int, _format: FileFormat, _missing: tuple[str, ...]) -> dict[str, int]:
    """Return the hashes of a column's texts that are known so far, for reading to add to."""
    return {}


def _hashes_of(texts: pa.Array, seed: np.uint64, settings: JobSettings) -> Keys:
    texts = pc.utf8_trim_whitespace(texts)
    values = _number_values(texts, settings)
    hashes = _number_hashes(values, seed)
    others = np.flatnonzero(np.isnan(values))
    hashes[others] = mixed(_character_hashes(texts.take(pa.array(others))) ^ seed)
    texts_, numbers = _missing(settings), missing_numbers(settings.format, _missing(settings)).to_numpy()
    hashes[to_mask(pc.is_in(texts, pa.array(texts_, pa.string()))) | np.isin(values, numbers)] = 0
    return hashes


def _missing(settings: JobSettings) -> tuple[str, ...]:
    return settings.missing_texts if settings.key_texts is None else settings.key_texts


def _number_values(texts: pa.Array, settings: JobSettings) -> Floats:
    """Return texts as finite numbers; NaN for another text, or one with more digits than a float has."""
    values, wrong = NumberForm.of(settings.format).read(texts)
    values = np.where(wrong, np.nan, values)
    large = np.flatnonzero(np.abs(values) >= EXACT)
    values[large[to_mask(pc.match_substring_regex(texts.take(pa.array(large)), "^[+-]?[0-9]+$"))]] = np.nan
    return values


def _character_hashes(texts: pa.Array) -> Keys:
    """Return a hash of each text: its bytes, each times a number drawn for its place, added up; and its length."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1].astype(np.int64)
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets)
    hashes = mixed(lengths.astype(np.uint64))
    factors = mixed(np.arange(lengths.max(initial=0), dtype=np.uint64)) | np.uint64(1)
    for first in range(0, len(texts), TEXTS_AT_A_TIME):
        some = first + np.flatnonzero(lengths[first : first + TEXTS_AT_A_TIME])
        if not len(some):
            continue
        begin, end = offsets[some[0]], offsets[some[-1] + 1]
        starts = offsets[some] - begin
        places = np.arange(end - begin) - np.repeat(starts, lengths[some])
        hashes[some] += np.add.reduceat(content[begin:end] * factors[places], starts)
    return hashes
