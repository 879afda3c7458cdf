"""What each column of a table is: a number, a category, a boolean, or nothing to learn from; each with the reason."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.jobs.shared.encoder import boolean_of, level_of
from pipeline.settings import Format, Levels

Kind = Literal["numeric", "categorical", "boolean", "ignored"]
Floats = NDArray[np.float64]

MISSING = frozenset(
    [
        "",
        "NA",
        "N/A",
        "n/a",
        "na",
        "nan",
        "NaN",
        "NAN",
        "NULL",
        "null",
        "Null",
        "#N/A",
        "#NA",
        "<NA>",
        "NaT",
        "\\N",
        "?",
    ]
)
"""Texts that mean "no value" in any column."""
PERHAPS = frozenset(
    ["-", "--", "---", ".", "..", "*", "None", "none", "NONE", "missing", "unknown", "n.a.", "N.A.", "nil"]
)
"""Texts that mean it in a column of numbers."""
SYMBOLS = "%$€£¥"
NAMED_ID = re.compile(r"(.*[ _.-])?(id|ids|idx|index|no|nr|nr\.|uuid|guid|rowid|row|key)|unnamed: 0|", re.I)
CAMEL_ID = re.compile(r".*[a-z](Id|ID|No|Nr|Index|Key)")
DATES = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( \d.*)?"
    r"|\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?"
    r"|\d{1,2}[- ][A-Za-z]{3,9}[- ,]+\d{2,4}.*|[A-Z][a-z]{2,8} \d{1,2},? \d{4}.*"
)
STRANGE_SIGN = re.compile(r"\(.*\)|\u2212.*|.*-")
SEEN = 5000
STYLES = [
    (".", ""),
    (",", ""),
    (".", ","),
    (",", "."),
    (".", "'"),
    (".", "\u2019"),
    (".", " "),
    (",", " "),
    (",", "\u00a0"),
    (",", "\u202f"),
]
"""Decimal sign and thousands separator, the usual ones first."""


@dataclass(frozen=True)
class Texts:
    """The different texts of a column, and for each row the place of its own."""

    name: str
    words: list[str]
    places: NDArray[np.int64]

    @staticmethod
    def of(name: str, cells: Iterable[str]) -> "Texts":
        """Return a column's texts."""
        found: dict[str, int] = {}
        places = np.array([found.setdefault(cell, len(found)) for cell in cells], np.int64)
        return Texts(name, list(found), places)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows have each text."""
        return np.bincount(self.places, minlength=len(self.words))

    def first(self) -> "Texts":
        """Return the first rows, enough to see how numbers are written."""
        places = self.places[:SEEN]
        return Texts(self.name, self.words[: int(places.max(initial=-1)) + 1], places)

    def rows(self, words: Iterable[str]) -> int:
        """How many rows have one of these texts."""
        wanted = set(words)
        return int(sum(count for word, count in zip(self.words, self.counts.tolist(), strict=True) if word in wanted))


@dataclass(frozen=True)
class Column:
    """A column's kind and why; `missing` and `wrong` are rows without a value, and with one that is not of the kind.

    `values` are numbers (booleans as 0 and 1), NaN where there is none; of a category numbers of its `levels`.
    """

    name: str
    kind: Kind
    reason: str
    missing: int = 0
    wrong: int = 0
    values: Floats = field(default_factory=lambda: np.empty(0))
    levels: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Style:
    """How numbers are written, and which texts mean "no value"."""

    decimal: str = "."
    thousands: str = ""
    symbols: str = ""
    missing: frozenset[str] = MISSING

    def number(self, text: str) -> float | None:
        """Return the number that a text is, or None."""
        for symbol in self.symbols:
            text = text.replace(symbol, "")
        text = text.strip()
        if not _pattern(self.decimal, self.thousands).fullmatch(text):
            return None
        plain = text.replace(self.thousands, "") if self.thousands else text
        value = float(plain.replace(self.decimal, "."))
        return value if math.isfinite(value) else None


@lru_cache
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    fraction = re.escape(decimal)
    grouped = rf"[1-9][0-9]{{0,2}}({re.escape(thousands)}[0-9]{{3}})+|" if thousands else ""
    return re.compile(rf"[+-]?(({grouped}[0-9]+)({fraction}[0-9]*)?|{fraction}[0-9]+)([eE][+-]?[0-9]{{1,3}})?")


def style_of(columns: Sequence[Texts], form: Format) -> Style:
    """Return how the numbers of a file are written: as most of its texts can be read."""
    columns = [column.first() for column in columns]
    order = STYLES if form.separator in ";\t|" else [STYLES[0], *STYLES[2:], STYLES[1]]
    best, found = 0, Style()
    for decimal, thousands in order:
        style = Style(decimal, thousands, SYMBOLS)
        rows = sum(
            column.rows(numbers)
            for column in columns
            if (numbers := _numbers(column, style)) and _is_numeric(column, style)
        )
        if rows > best:
            best, found = rows, style
    used = {
        sign
        for column in columns
        if _is_numeric(column, found)
        for word in column.words
        for sign in word
        if sign in SYMBOLS
    }
    missing = set(MISSING)
    found = replace(found, symbols="".join(sorted(used)))
    for column in columns:
        if _is_numeric(column, found):
            missing |= _means_missing(column, found)
    return replace(found, missing=frozenset(missing))


def _numbers(column: Texts, style: Style) -> list[str]:
    return [word for word in column.words if style.number(word) is not None]


def _means_missing(column: Texts, style: Style) -> set[str]:
    """Return the texts of a column of numbers that mean "no value": known ones, and up to three that occur again."""
    others = [word for word in column.words if word not in style.missing and style.number(word) is None]
    again = dict(zip(column.words, column.counts.tolist(), strict=True))
    repeated = [word for word in others if word not in PERHAPS and again[word] > 1]
    enough = len(repeated) <= 3 and len(column.words) - len(others) >= 10
    return {word for word in others if word in PERHAPS} | set(repeated if enough else ())


def _is_numeric(column: Texts, style: Style) -> bool:
    """Whether a column's values are numbers, apart from those that mean "no value" and a few wrong ones."""
    numbers = _numbers(column, style)
    if not numbers:
        return False
    none = {*style.missing, *_means_missing(column, style)}
    expected = none.union(numbers)
    wrong = [word for word in column.words if word not in expected]
    good, bad = column.rows(numbers), column.rows(wrong)
    strange = column.rows(none - style.missing)
    return bad <= 0.05 * (good + bad) and strange <= good


def column_of(column: Texts, style: Style, levels: Levels) -> Column:
    """Return what a feature's column is."""
    name, rows = column.name, len(column.places)
    words = [word for word in column.words if word not in style.missing]
    missing = rows - column.rows(words)
    if len(words) < 2 and not (words and missing):
        reason = f"{words[0]!r} in every row" if words else "no value in any row"
        return Column(name, "ignored", reason, missing)
    if name and _is_numeric(column, style) and not _is_code(words):
        return _numeric(column, style, missing)
    if reason := _no_use(column, words, style):
        return Column(name, "ignored", reason, missing)
    if all(boolean_of(word) is not None for word in words) and len({boolean_of(word) for word in words}) == 2:
        meanings = {word: boolean_of(word) for word in words}
        values = np.array([meanings.get(word) for word in column.words], np.float64)[column.places]
        return Column(name, "boolean", " and ".join(sorted(words)[:4]), missing, values=values)
    return _categorical(column, words, missing, levels)


def _no_use(column: Texts, words: list[str], style: Style) -> str:
    """Return why nothing can be learnt from texts that are neither numbers nor categories, or nothing."""
    most = 0.95 * column.rows(words)
    if not column.name:
        return "a column without a name, such as the names of the rows"
    if column.rows(word for word in words if DATES.fullmatch(word)) >= most:
        return f"dates or times such as {words[0]}: a linear model needs their parts as columns, such as the year"
    signed = [word for word in words if STRANGE_SIGN.fullmatch(word) and style.number(word.strip("()-\u2212"))]
    if signed and column.rows([*signed, *_numbers(column, style)]) >= most:
        return f"numbers such as {signed[0]}: a number below zero needs a hyphen in front, such as -1"
    return ""


def _is_code(words: Sequence[str]) -> bool:
    """Whether digits are a code: some have a leading zero, as a postcode has."""
    return any(re.fullmatch(r"0\d+", word) for word in words) and all(word.isdigit() for word in words)


def _numeric(column: Texts, style: Style, missing: int) -> Column:
    name, rows = column.name, len(column.places)
    numbers = [None if word in style.missing else style.number(word) for word in column.words]
    values = np.array([np.nan if number is None else number for number in numbers])[column.places]
    wrong = int(np.isnan(values).sum()) - missing
    present = values[~np.isnan(values)]
    whole, different = bool((present == np.floor(present)).all()), len(np.unique(present))
    hints = []
    if whole and different == rows and different - 1 == present.max() - present.min():
        return Column(name, "ignored", f"numbers its rows from {present.min():.0f} to {present.max():.0f}", missing)
    if whole and different > 0.9 * rows:
        if NAMED_ID.fullmatch(name) or CAMEL_ID.fullmatch(name) or name == "column_1":
            reason = f"{different} distinct whole numbers in {rows} rows: it names the rows"
            return Column(name, "ignored", reason, missing)
        hints.append("has another whole number in most rows: if it names the rows, move it to ignored_columns")
    for sentinel in (-999.0, -9999.0, -99.0, 9999.0, 99999.0, 999.0):
        share = float((present == sentinel).mean())
        if share > 0.001 and sentinel in (present.min(), present.max()) and different > 3:
            hints.append(
                f'has {sentinel:g} in {share:.1%} of the rows: if it means "no value", add it to data.missing.texts'
            )
    reason = f"numbers from {present.min():g} to {present.max():g}"
    return Column(name, "numeric", reason, missing, wrong, values, hints=tuple(hints))


def _categorical(column: Texts, words: list[str], missing: int, levels: Levels) -> Column:
    name, rows = column.name, len(column.places)
    kept = sorted({level_of(word) for word in words})
    there = rows - missing
    if len(kept) > max(2, there / 2):
        return Column(name, "ignored", f"{len(kept)} distinct values in {rows} rows", missing)
    if len(kept) > levels.maximum:
        reason = f"{len(kept)} distinct values, more than data.levels.maximum = {levels.maximum}"
        return Column(name, "ignored", reason, missing)
    place = {level: number for number, level in enumerate(kept)}
    present = set(words)
    codes = [float(place[level_of(word)]) if word in present else np.nan for word in column.words]
    shown = ", ".join(kept[:4]) + (", …" if len(kept) > 4 else "")
    reason = f"{len(kept)} distinct texts: {shown}"
    return Column(name, "categorical", reason, missing, values=np.array(codes)[column.places], levels=tuple(kept))


@dataclass(frozen=True)
class Target:
    """What is predicted: `labels` by class number (negative, positive for two), none for regression.

    `values` are class numbers or numbers by row, NaN where a row has no usable target; `left_out` are rare classes.
    """

    name: str
    type: Literal["binary_classifier", "multiclass_classifier", "regressor"]
    reason: str
    labels: tuple[str, ...]
    values: Floats
    left_out: tuple[str, ...] = ()

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have a usable target."""
        return ~np.isnan(self.values)


SMALLEST_CLASS = 10
MOST_CLASSES = 100


def target_of(column: Texts, style: Style, positive: str = "", wanted: str = "") -> Target:
    """Return what a target column asks for, or as is `wanted`. Raises ValueError: it has one class, or is no target."""
    words = [word for word in column.words if word not in style.missing]
    numbers = {word: style.number(word) for word in words}
    found = {number for number in numbers.values() if number is not None}
    wrong = column.rows(word for word, number in numbers.items() if number is None)
    numeric = bool(found) and wrong <= 0.05 * column.rows(words)
    counts = Counter[str]()
    labels = {word: _label(word, numbers[word] if numeric else None) for word in words}
    rows = dict(zip(column.words, column.counts.tolist(), strict=True))
    if not numeric and len(words) > 2 and {boolean_of(word) for word in words} == {0.0, 1.0}:
        usual = {boolean_of(word): word for word in sorted(words, key=lambda word: rows[word])}
        labels = {word: usual[boolean_of(word)] for word in words}
    for word, label in labels.items():
        counts[label] += rows[word]
    if wanted == "regressor" and not numeric:
        raise ValueError(f"the target {column.name!r} is not a number, which --type regressor needs")
    if wanted == "regressor" or (numeric and not wanted and not positive and _is_measured(found, counts)):
        every = [np.nan if numbers.get(word) is None else numbers[word] for word in column.words]
        reason = f"{len(found)} distinct numbers from {min(found):g} to {max(found):g}"
        return Target(column.name, "regressor", reason, (), np.array(every, np.float64)[column.places])
    if len(counts) > MOST_CLASSES:
        raise ValueError(
            f"the target {column.name!r} has {len(counts)} distinct texts: choose a column of fewer classes"
        )
    rare = {label for label, count in counts.items() if count < SMALLEST_CLASS} if len(counts) > 2 else set()
    classes = sorted(label for label in counts if label not in rare)
    if len(classes) < 2:
        shown = ", ".join(f"{label!r} in {count} rows" for label, count in counts.most_common(5)) or "no value"
        what = "no two classes of at least 10 rows" if rare else "not two classes"
        raise ValueError(f"the target {column.name!r} has {what} ({shown}): choose another --target, or add rows")
    if len(classes) == 2:
        classes = _by_sign(classes, counts, positive)
    elif positive:
        raise ValueError(f"--positive is for two classes: the target {column.name!r} has {', '.join(classes)}")
    place = {label: float(number) for number, label in enumerate(classes)}
    codes = [place.get(labels.get(word, ""), np.nan) for word in column.words]
    kind: Literal["binary_classifier", "multiclass_classifier"] = (
        "binary_classifier" if len(classes) == 2 else "multiclass_classifier"
    )
    reason = ", ".join(f"{label}: {counts[label]} rows" for label in classes[:6]) + (", …" if len(classes) > 6 else "")
    return Target(column.name, kind, reason, tuple(classes), np.array(codes)[column.places], tuple(sorted(rare)))


def _label(word: str, number: float | None) -> str:
    return f"{number:.0f}" if number is not None and number == int(number) else word


def _is_measured(found: set[float], counts: Counter[str]) -> bool:
    """Whether numbers are measured rather than classes: many, or fractions, or too rare to be classes."""
    if len(found) <= 2:
        return False
    whole = all(number == int(number) for number in found)
    return not whole or len(found) > 10 or min(counts.values()) < SMALLEST_CLASS


def _by_sign(classes: list[str], counts: Counter[str], positive: str) -> list[str]:
    """Return (negative, positive): the one that is asked for, else the rarer one, else the one that means true."""
    if positive:
        if positive not in classes:
            raise ValueError(f"--positive {positive!r} is no label of the target: choose {' or '.join(classes)}")
        return sorted(classes, key=lambda label: label == positive)
    return sorted(classes, key=lambda label: (-counts[label], boolean_of(label) == 1.0, label))
