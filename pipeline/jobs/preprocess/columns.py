"""Columns of a file -> the numbers that a row is made of, by the kind of each column."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..shared.arrow import Floats, Mask, positions, to_numpy
from ..shared.encoder import boolean_of, level_of
from ..shared.labels import class_of
from ..shared.settings import FileFormat, JobSettings
from .levels import Levels

FORM = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""The form of a number, the same as pyarrow's parser takes: no NaN, no 1_000, ASCII digits only."""
SPACES = " \t\u00a0\u202f"
LARGEST = 3.4028234663852886e38  # the linear learner computes in 32-bit floats, and this is the largest (IEEE 754)


@dataclass(frozen=True)
class NumberForm:
    """How numbers are written: decimal mark, mark of thousands, signs beside a number."""

    decimal: str = "."
    thousands: str = ""
    symbols: str = ""

    @staticmethod
    def of(format_: FileFormat) -> "NumberForm":
        """Return that of a format."""
        return NumberForm(format_.decimal, format_.thousands, format_.symbols)

    @cached_property
    def pattern(self) -> str:
        """A regular expression for Python and for RE2 that matches a whole number."""
        mark, digits, beside = re.escape(self.decimal), "[0-9]+", ""
        if self.thousands:
            digits = f"([1-9][0-9]{{0,2}}({self._grouping}[0-9]{{2,3}})*{self._grouping}[0-9]{{3}}|[0-9]+)"
        if self.symbols:
            beside = f"[{re.escape(self.symbols)}{SPACES}]*"
        return f"{beside}[+-]?{beside}({digits}({mark}[0-9]*)?|{mark}[0-9]+)([eE][+-]?[0-9]+)?{beside}"

    @property
    def _grouping(self) -> str:
        return f"[{SPACES}]" if self.thousands == " " else re.escape(self.thousands)

    def matches(self, text: str) -> bool:
        """Return whether a text is a number."""
        return re.fullmatch(self.pattern, text) is not None

    def value(self, text: str) -> float:
        """Return the value of a number."""
        return float(self.plain(pa.array([text]))[0].as_py())

    def plain(self, column: pa.Array) -> pa.Array:
        """Return numbers, given as text, as pyarrow parses them."""
        signs = [self._grouping] if self.thousands else []
        if self.symbols:
            signs.append(f"[{re.escape(self.symbols)}{SPACES}]")
        if signs:
            column = pc.replace_substring_regex(column, "|".join(signs), "")
        return column if self.decimal == "." else pc.replace_substring(column, self.decimal, ".")

    def read(self, column: pa.Array) -> tuple[Floats, Mask]:
        """Return a column of stripped text as numbers, and which are none or too large."""
        if self == NumberForm():
            characters = pc.binary_length(pc.ascii_trim(column, "0123456789.eE+-"))
            wrong = pc.or_(pc.greater(characters, 0), pc.equal(pc.binary_length(column), 0))
            try:
                values = to_numpy(pc.cast(pc.if_else(wrong, "0", column), pa.float64()))
            except pa.ArrowInvalid:
                wrong = None
            else:
                return values, to_mask(wrong) | ~(np.abs(values) <= LARGEST)
        wrong = pc.invert(pc.match_substring_regex(column, f"^(?:{self.pattern})$"))
        values = to_numpy(pc.cast(self.plain(pc.if_else(wrong, "0", column)), pa.float64()))
        return values, to_mask(wrong) | ~(np.abs(values) <= LARGEST)


@dataclass(frozen=True)
class Values:
    """A column as numbers, NaN where missing, and which rows are wrong; None if there is none."""

    numbers: Floats
    wrong: Mask | None


def to_mask(column: pa.Array) -> Mask:
    """Return a column of booleans as an array."""
    mask: Mask = to_numpy(pc.cast(column, pa.int8())).astype(bool)
    return mask


def read_column(column: pa.Array, name: str, settings: JobSettings, levels: Levels) -> Values:
    """Return a feature or the target as numbers.

    `column` is of float64, null where missing, or of text, null where it is no UTF-8; of a dictionary-encoded one that
    is a null of the dictionary, and a null beside it is a missing value.
    """
    kind, imputed = settings.reading[name]
    if kind == "numeric":
        if pa.types.is_floating(column.type):
            return _numbers(column, imputed, settings)
        return _numbers_of_texts(column, imputed, settings)
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column, null_encoding="encode")
    texts = encoded.dictionary.to_pylist()
    # The number of each different text, and at last that of a missing value.
    numbers, wrong = np.full(len(texts) + 1, np.nan), np.ones(len(texts) + 1, bool)
    wrong[-1] = not imputed
    present = []
    for place, text in enumerate(texts):
        if text is not None and level_of(text) in settings.missing_levels:
            wrong[place] = not imputed
        elif text is not None:
            present.append(place)
    if kind == "categorical":
        numbers[present] = levels.codes(name, [level_of(texts[place]) for place in present])
        wrong[present] = False
    else:
        for place in present:
            number = boolean_of(texts[place]) if kind == "boolean" else class_of(texts[place], settings.classes)
            if number is not None:
                numbers[place], wrong[place] = number, False
    rows = positions(encoded.indices, len(texts))
    return Values(numbers[rows], wrong[rows] if wrong[:-1].any() or encoded.indices.null_count else None)


def _numbers(column: pa.Array, imputed: bool, settings: JobSettings) -> Values:
    missing: Mask | None = None
    if len(numbers := missing_numbers(settings)):
        column = pc.if_else(pc.is_in(column, numbers), None, column)
    if column.null_count:
        missing = to_mask(pc.is_null(column))
        column = pc.fill_null(column, np.nan)
    values: Floats = to_numpy(column)
    # The extremes of a column with NaN are NaN, which no comparison holds for.
    if values.max(initial=0.0) <= LARGEST and values.min(initial=0.0) >= -LARGEST:
        return Values(values, None)
    wrong = ~(np.abs(values) <= LARGEST)
    if imputed and missing is not None:
        wrong &= ~missing
    return Values(values, wrong if wrong.any() else None)


def _numbers_of_texts(column: pa.Array, imputed: bool, settings: JobSettings) -> Values:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    faulty = to_mask(pc.is_null(column))
    texts = pc.utf8_trim_whitespace(pc.fill_null(column, "-"))
    missing = to_mask(pc.is_in(texts, pa.array(settings.missing_texts, pa.string())))
    values, wrong = NumberForm.of(settings.format).read(texts)
    missing |= ~wrong & np.isin(values, missing_numbers(settings).to_numpy())
    values = np.where(missing, np.nan, values)
    wrong = faulty | (wrong & ~missing if imputed else wrong | missing)
    return Values(values, wrong if wrong.any() else None)


def missing_numbers(settings: JobSettings) -> pa.Array:
    """Return the numbers that mean "no value"."""
    return _missing_numbers(settings.format, settings.missing_texts)


@lru_cache
def _missing_numbers(form: FileFormat, texts: tuple[str, ...]) -> pa.Array:
    values, wrong = NumberForm.of(form).read(pa.array(texts, pa.string()))
    return pa.array(values[~wrong], pa.float64())


def texts_of(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return bytes as text twice, from UTF-8: null where they are none, and with these bytes escaped."""
    if pa.types.is_dictionary(column.type):
        texts, escaped = texts_of(column.dictionary)
        return (
            pa.DictionaryArray.from_arrays(column.indices, texts),
            pa.DictionaryArray.from_arrays(column.indices, escaped),
        )
    try:
        texts = pc.cast(column, pa.string())
    except pa.ArrowInvalid:
        escaped = [None if value is None else value.decode("utf-8", "backslashreplace") for value in column.to_pylist()]
        valid = [None if value is None or not is_utf8(value) else value.decode() for value in column.to_pylist()]
        return pa.array(valid, pa.string()), pa.array(escaped, pa.string())
    return texts, texts


def is_utf8(value: bytes) -> bool:
    """Return whether bytes are text in UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
