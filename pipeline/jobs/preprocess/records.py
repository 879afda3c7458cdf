"""Checked rows as the job moves and sorts them: one matrix of 8-byte words, a row each."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..shared import errors
from ..shared.arrow import Floats, Mask, to_numpy
from ..shared.settings import FileFormat, JobSettings

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Column: TypeAlias = Any
"""A column of a file: text, plain or dictionary-encoded, or numbers with NaN where one is missing."""

LINE_BITS = 40
"""A row's place is the file's number above these bits, its line within them: 8 million files of 1.1e12 lines."""
ROWS_AT_A_TIME = 1024  # rows turned from columns at a time: what a core's own cache holds
TEXTS_AT_A_TIME = 4096
EXACT = 2.0**53
"""Whole numbers from here on share a float with others: as texts they are told apart by their digits."""
FORM = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


@dataclass(frozen=True)
class Records:
    """Rows with the key that decides their part and their order, and the place they came from."""

    words: Floats
    """Shape (rows, 3 + features): the bits of key and place, the label, the features in the settings' order."""

    @staticmethod
    def of(columns: list[Floats], labels: Floats, places: NDArray[np.int64], salt: str) -> "Records":
        """Return rows made of columns, -0.0 as 0.0."""
        columns = [column + 0.0 for column in columns]
        words = np.empty((len(labels), 3 + len(columns)))
        words[:, 0] = row_keys(columns, salt).view(np.float64)
        words[:, 1] = places.view(np.float64)
        words[:, 2] = labels + 0.0
        for start in range(0, len(words), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            for number, column in enumerate(columns, 3):
                words[rows, number] = column[rows]
        return Records(words)

    @property
    def keys(self) -> Keys:
        """Shape (rows,): a hash of the features."""
        return self.words.view(np.uint64)[:, 0]

    @property
    def places(self) -> NDArray[np.int64]:
        """Shape (rows,): file and line, see LINE_BITS."""
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
    def hashes(self) -> Keys:
        """Shape (rows,): a hash of features and label, as keys decide the part and repeated measurements share one."""
        return mixed(self.keys ^ self.labels.view(np.uint64))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Records":
        """Return some of the rows, by a slice, a mask or their numbers."""
        return Records(self.words[rows])

    def order(self) -> Numbers:
        """Return the rows' numbers by key, then label, then place."""
        order: Numbers = np.argsort(self.keys)
        twins = repeated(self.keys[order])
        among = order[twins]
        order[twins] = among[np.lexsort((self.places[among], self.labels[among], self.keys[among]))]
        return order


def place_of(files: list[str], place: int) -> str:
    """Return file and line of a row as text, from its place."""
    return errors.place(files[place >> LINE_BITS], place & ((1 << LINE_BITS) - 1))


def repeated(ordered: Keys) -> Mask:
    """Return which of the keys, given in order, are there more than once."""
    again = np.concatenate(([False], ordered[1:] == ordered[:-1], [False]))
    found: Mask = (again[1:] | again[:-1])[: len(ordered)]
    return found


def row_keys(columns: Sequence[Floats], salt: str) -> Keys:
    """Return a 64-bit hash of each row's values, from at least a column: equal numbers hash equal, however written."""
    seed = np.frombuffer(hashlib.blake2b(salt.encode("utf-8"), digest_size=8).digest(), np.uint64)
    keys = np.repeat(seed, len(columns[0]))
    for column in columns:
        keys ^= np.ascontiguousarray(column).view(np.uint64)
        keys = mixed(keys)
    return keys


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
    other text by its characters; a missing value is the same as no such column. The roles of columns do not matter.
    """
    names = settings.id_columns or tuple(columns)
    seeds = {name: _seed(f"{settings.salt}/{name}") for name in names}
    keys = np.zeros(len(columns[names[0]]), np.uint64)
    for name, seed in seeds.items():
        column = columns[name]
        is_number = isinstance(column, np.ndarray)
        keys += _number_hashes(column, seed) if is_number else _text_hashes(column, seed, settings)
    return mixed(keys)


def _seed(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little"))


def _number_hashes(values: Floats, seed: np.uint64) -> Keys:
    hashes = mixed((values + 0.0).view(np.uint64) ^ seed)
    if np.isnan(values.min(initial=0.0)):
        hashes[np.isnan(values)] = 0
    return hashes


def _text_hashes(column: pa.Array, seed: np.uint64, settings: JobSettings) -> Keys:
    """Return the hash of each text; each different one is looked at once."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pc.utf8_trim_whitespace(pc.cast(encoded.dictionary, pa.string()))
    values = _number_values(texts, settings.format)
    hashes = np.zeros(len(texts) + 1, np.uint64)
    hashes[:-1] = _number_hashes(values, seed)
    others = np.flatnonzero(np.isnan(values))
    hashes[others] = mixed(_character_hashes(texts.take(pa.array(others))) ^ seed)
    missing = pc.is_in(texts, pa.array(settings.missing_texts, pa.string()))
    hashes[:-1][_mask(missing)] = 0
    found: Keys = hashes[to_numpy(pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(texts)))]
    return found


def _number_values(texts: pa.Array, form: FileFormat) -> Floats:
    """Return texts as finite numbers; NaN for another text, or one with more digits than a float has."""
    plain = texts
    for sign in (*form.symbols, form.thousands):
        plain = pc.utf8_trim_whitespace(pc.replace_substring(plain, sign, "")) if sign else plain
    if form.decimal != ".":
        plain = pc.replace_substring(plain, form.decimal, ".")
    none = pa.scalar(None, pa.string())
    # Most texts that are no numbers have other characters: the slower pattern is seldom needed.
    plain = pc.if_else(pc.equal(pc.binary_length(pc.ascii_trim(plain, "0123456789.eE+-")), 0), plain, none)
    try:
        numbers = pc.cast(plain, pa.float64())
    except pa.ArrowInvalid:
        plain = pc.if_else(pc.match_substring_regex(plain, f"^{FORM}$"), plain, none)
        numbers = pc.cast(plain, pa.float64())
    values = np.array(to_numpy(pc.fill_null(numbers, np.nan)))
    large = np.flatnonzero(np.abs(values) >= EXACT)
    digits = pc.match_substring_regex(plain.take(pa.array(large)), "^[+-]?[0-9]+$")
    values[large[_mask(digits) | np.isinf(values[large])]] = np.nan
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


def _mask(column: pa.Array) -> Mask:
    mask: Mask = to_numpy(pc.cast(column, pa.int8())).astype(bool)
    return mask
