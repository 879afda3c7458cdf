"""Parse rows from a caller's body into the CSV lines that the model takes, or a problem that names the faults.

Python's parsers accept more than the OpenAPI document: NaN, Infinity, 1e999, true for 1.0, "1_000" and full-width
digits. Numbers in the lines are rebuilt from floats, and texts have no control characters.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from .problem import Fault, Problem

LISTED = 20  # the maximum number of faults in a problem
LONGEST = 1000
"""The maximum number of characters of a text."""
EXACT = 1e15
"""Whole numbers below it are written as a file has them: without an exponent, and no digit is lost."""
TRUE = frozenset(["true", "t", "yes", "y", "1", "on"])
FALSE = frozenset(["false", "f", "no", "n", "0", "off"])
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and halves of a character
_QUOTED = re.compile(r'[",]')
_TYPOGRAPHIC = re.compile("[{\\[,:]\\s*[\u2018-\u201f\u00ab\u00bb]|[\u2018-\u201f\u00ab\u00bb]\\s*[:,}\\]]")

Row = str
"""A raw row: CSV without a line break, "" where a value is missing."""


@dataclass(frozen=True)
class Signature:
    """A model's signature: the rows that it takes, and what its answers mean.

    `columns` are the kinds of the features in order, "numeric", "categorical" or "boolean", each with whether a value
    may be missing, which the texts in `missing`, as `level_of` returns them, say
    too. `classes` are the labels by class number; a regressor has
    none. `largest` is the largest absolute value of a number.
    """

    name: str
    predictor_type: str
    target: str
    features: list[str]
    columns: list[tuple[str, bool]]
    missing: frozenset[str]
    classes: list[str]
    largest: float

    @classmethod
    def of(cls, name: str, document: Mapping[str, Any]) -> "Signature":
        """Return the signature of a document (pipeline/jobs/shared/signature.py)."""
        return cls(
            name=name,
            predictor_type=document["predictor_type"],
            target=document["target"],
            features=[feature["name"] for feature in document["features"]],
            columns=[(feature["kind"], feature["imputed"]) for feature in document["features"]],
            missing=frozenset(map(level_of, document["missing_texts"])),
            classes=document["classes"],
            largest=document["largest"],
        )

    @cached_property
    def encoded(self) -> bool:
        """Whether rows may have texts or gaps, which the model's first container encodes."""
        return any(imputed or kind != "numeric" for kind, imputed in self.columns)

    @cached_property
    def names(self) -> frozenset[str]:
        """The features."""
        return frozenset(self.features)

    @cached_property
    def required(self) -> frozenset[str]:
        """The features that an object must have."""
        return frozenset(name for name, (_, imputed) in zip(self.features, self.columns, strict=True) if not imputed)

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The numbers that mean "no value"."""
        return frozenset(float(text) for text in self.missing if _NUMBER.fullmatch(text))


def level_of(text: str) -> str:
    """Return a category as the model's encoder knows it: one space between words, and "3.0" is "3"."""
    text = " ".join(text.split())
    whole = _WHOLE.fullmatch(text)
    return text[: whole.start(1)] if whole else text


def boolean_of(text: str) -> bool | None:
    """Return what a word means, in any case; None for a word that is neither true nor false."""
    word = level_of(text).lower()
    return True if word in TRUE else False if word in FALSE else None


def from_data(text: str, signature: Signature, most: int) -> list[Row]:
    """Return the one row of `{"data": "<values, separated by commas>"}`."""
    data = _object(text, "data")["data"]
    if not isinstance(data, str):
        values = "values" if signature.encoded else "numbers"
        raise Problem("bad-body", f'"data" must be a string: the {values} of one row, separated by commas')
    return _checked([_cells(data.strip("\r\n"), signature)], signature, most)


def from_instances(text: str, signature: Signature, most: int) -> list[Row]:
    """Return the rows of `{"instances": [...]}`: arrays in the columns' order, or objects by column name."""
    instances = _object(text, "instances")["instances"]
    if not isinstance(instances, list):
        raise Problem("bad-body", '"instances" must be an array of rows')
    return _checked(instances, signature, most)


def from_csv(text: str, signature: Signature, most: int) -> list[Row]:
    """Return the rows of `text/csv`: one per line, no header; a byte order mark is skipped.

    Only values of a table with texts or gaps may be quoted, and no line break is within quotes.
    """
    lines = text.removeprefix("\ufeff").strip("\r\n")
    rows = [_cells(line.removesuffix("\r"), signature) for line in lines.split("\n")] if lines else []
    return _checked(rows, signature, most)


def _cells(line: str, signature: Signature) -> list[Any] | csv.Error:
    """Return the cells of a line: floats where the text is a number (of a number's column), else the text."""
    if not signature.encoded:
        cells = [cell.strip(" \t") for cell in line.split(",")]
        return [float(cell) if _NUMBER.fullmatch(cell) else cell for cell in cells]
    try:
        cells = [cell.strip(" \t") for cell in next(csv.reader([line], strict=True), None) or [""]]
    except csv.Error as error:
        return error
    if len(cells) != len(signature.features):
        return cells
    return [
        float(cell) if kind == "numeric" and _NUMBER.fullmatch(cell) else cell
        for cell, (kind, _) in zip(cells, signature.columns, strict=True)
    ]


def _object(text: str, key: str) -> dict[str, Any]:
    """Return the JSON object in `text`, whose one member is `key`."""
    try:
        # An int of a million digits takes quadratic time. NaN and Infinity are no JSON: a tuple is no value either.
        body = json.loads(
            text, parse_int=float, parse_float=float, parse_constant=lambda _: (), object_pairs_hook=_no_duplicates
        )
    except (ValueError, RecursionError):
        if _TYPOGRAPHIC.search(text):
            raise Problem("bad-json", 'the body has typographic quotes: use "') from None
        raise Problem("bad-json", "Send one JSON object, UTF-8, without duplicate names") from None
    if not isinstance(body, dict) or body.keys() != {key}:
        raise Problem("bad-body", f'Send an object with the one member "{key}"')
    return body


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("duplicate names")
    return dict(pairs)


def _checked(given: list[Any], signature: Signature, most: int) -> list[Row]:
    """Return all rows, or raise Problem with the faults: a batch is scored as a whole or not at all."""
    if not given:
        raise Problem("bad-body", "The body has no rows; send at least one")
    if len(given) > most:
        raise Problem("too-large", f"Send at most {most} rows in one call; this one has {len(given)}")
    rows = [_row(cells, signature) for cells in given]
    refused = (number for number, row in enumerate(rows, 1) if row is None)
    faults = ({"row": number, **fault} for number in refused for fault in _faults(given[number - 1], signature))
    if errors := list(islice(faults, LISTED)):
        detail = f"No row was scored. Correct the faults in `errors` (at most {LISTED}) and send all rows again"
        raise Problem("bad-rows", detail, errors=errors)
    return [row for row in rows if row is not None]


def _row(cells: Any, signature: Signature) -> Row | None:
    """Return the row as CSV, or None when it has a fault."""
    if isinstance(cells, dict) and signature.required <= cells.keys() <= signature.names:
        cells = [cells.get(name) for name in signature.features]
    if not isinstance(cells, list) or len(cells) != len(signature.features):
        return None
    if not signature.encoded:
        return ",".join(map(repr, cells)) if _are_numbers(cells, signature.largest) else None
    try:
        values = [
            _value(cell, kind, imputed, signature)
            for cell, (kind, imputed) in zip(cells, signature.columns, strict=True)
        ]
    except ValueError:
        return None
    # An empty line is no row.
    return ",".join(values) or '""'


def _are_numbers(cells: list[Any], largest: float) -> bool:
    """Return whether all cells are floats within the limit; NaN was parsed as a tuple."""
    return set(map(type, cells)) == {float} and -largest <= min(cells) and max(cells) <= largest


def _value(cell: Any, kind: str, imputed: bool, signature: Signature) -> str:
    """Return a value as a raw row has it. Raises ValueError: what is wrong with it."""
    if isinstance(cell, str):
        cell = None if level_of(cell) in signature.missing else cell
    elif isinstance(cell, float) and cell in signature.missing_numbers:
        cell = None
    if cell is None:
        if imputed:
            return ""
        raise ValueError("has no value")
    if kind == "numeric":
        if isinstance(cell, float) and -signature.largest <= cell <= signature.largest:
            return repr(cell)
        raise ValueError(f"must be a number from {-signature.largest:g} to {signature.largest:g}")
    if kind == "boolean":
        means = boolean_of(str(cell) if isinstance(cell, bool) else _text(cell) or "")
        if means is None:
            raise ValueError("must be true or false")
        return "true" if means else "false"
    text = _text(cell)
    if text is None:
        raise ValueError(f"must be text: at most {LONGEST} characters, no control characters")
    level = level_of(text)
    return '"' + level.replace('"', '""') + '"' if _QUOTED.search(level) else level


def _text(cell: Any) -> str | None:
    """Return a text or a number as text; None for another value, and for a text or a number that is none of a file."""
    if isinstance(cell, float):
        return repr(cell) if -EXACT < cell < EXACT else None
    return cell if isinstance(cell, str) and len(cell) <= LONGEST and not _CONTROL.search(cell) else None


def _faults(cells: Any, signature: Signature) -> Iterator[Fault]:
    """Yield the faults of a row that `_row` refused."""
    columns = signature.features
    if isinstance(cells, dict):
        for name in columns:
            if name not in cells and name in signature.required:
                yield {"column": name, "detail": "is missing"}
        if unknown := len(cells.keys() - signature.names):
            yield {"detail": f"has {unknown} name(s) that the model does not know"}
        cells = [cells.get(name, 0.0) for name in columns]
    if isinstance(cells, csv.Error):
        yield {"detail": 'is not CSV: quote a value as a whole, within one line, and write a quote in it as ""'}
    elif not isinstance(cells, list):
        values = "values" if signature.encoded else "numbers"
        yield {"detail": f"must be an array of {len(columns)} {values}, or an object of {values} by column name"}
    elif len(cells) != len(columns):
        yield {"detail": f"has {len(cells)} value(s); the model takes {len(columns)}"}
    else:
        for name, cell, (kind, imputed) in zip(columns, cells, signature.columns, strict=True):
            try:
                _value(cell, kind, imputed, signature)
            except ValueError as error:
                yield {"column": name, "detail": str(error)}
