"""Parse rows from a caller's body: finite numbers in exactly the model's columns, or a problem that names the faults.

Python's parsers accept more than the OpenAPI document: NaN, Infinity, 1e999, true for 1.0, "1_000" and full-width
digits. The functions here return floats and none of the caller's text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .problem import Fault, Problem

LISTED = 20  # the maximum number of faults in a problem
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

Row = list[float]


@dataclass(frozen=True)
class ApiSettings:
    """The part of pipeline.toml that the API needs, in the package's file `api.json`.

    `classes` are the labels by class number; a regressor has none. `max_bytes` limits the body of a call. `largest` is
    the largest absolute value of a number. Pages of the origin `cors_origin` may call; when empty, no other origin may.
    """

    path: str
    predictor_type: str
    features: list[str]
    classes: list[str]
    max_rows: int
    max_bytes: int
    largest: float
    cors_origin: str = ""


def from_data(text: str, settings: ApiSettings) -> list[Row]:
    """Return the one row of `{"data": "<numbers, separated by commas>"}`."""
    data = _object(text, "data")["data"]
    if not isinstance(data, str):
        raise Problem("bad-body", '"data" must be a string: the numbers of one row, separated by commas')
    return _checked([_cells(data.strip("\r\n"))], settings)


def from_instances(text: str, settings: ApiSettings) -> list[Row]:
    """Return the rows of `{"instances": [...]}`: arrays in the columns' order, or objects by column name."""
    instances = _object(text, "instances")["instances"]
    if not isinstance(instances, list):
        raise Problem("bad-body", '"instances" must be an array of rows')
    return _checked(instances, settings)


def from_csv(text: str, settings: ApiSettings) -> list[Row]:
    """Return the rows of `text/csv`: one per line, no header, no quotes; a byte order mark is skipped."""
    lines = text.removeprefix("\ufeff").strip("\r\n")
    return _checked([_cells(line.removesuffix("\r")) for line in lines.split("\n")] if lines else [], settings)


def _cells(line: str) -> list[Any]:
    """Return the cells of a line: floats where the text is a number, else the text."""
    cells = [cell.strip(" \t") for cell in line.split(",")]
    return [float(cell) if _NUMBER.fullmatch(cell) else cell for cell in cells]


def _object(text: str, key: str) -> dict[str, Any]:
    """Return the JSON object in `text`, whose one member is `key`."""
    try:
        # Integers are parsed as floats: an int of a million digits takes quadratic time.
        body = json.loads(text, parse_int=float, parse_constant=lambda _: None, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise Problem("bad-json", "Send one JSON object, UTF-8, without duplicate names") from None
    if not isinstance(body, dict) or body.keys() != {key}:
        raise Problem("bad-body", f'Send an object with the one member "{key}"')
    return body


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("duplicate names")
    return dict(pairs)


def _checked(given: list[Any], settings: ApiSettings) -> list[Row]:
    """Return all rows, or raise Problem with the faults: a batch is scored as a whole or not at all."""
    if not given:
        raise Problem("bad-body", "The body has no rows; send at least one")
    if len(given) > settings.max_rows:
        raise Problem("too-large", f"Send at most {settings.max_rows} rows in one call; this one has {len(given)}")
    rows = [_numbers(cells, settings) for cells in given]
    refused = (number for number, row in enumerate(rows, 1) if row is None)
    faults = ({"row": number, **fault} for number in refused for fault in _faults(given[number - 1], settings))
    if errors := list(islice(faults, LISTED)):
        detail = f"No row was scored. Correct the faults in `errors` (at most {LISTED}) and send all rows again"
        raise Problem("bad-rows", detail, errors=errors)
    return [row for row in rows if row is not None]


def _numbers(cells: Any, settings: ApiSettings) -> Row | None:
    """Return the row, or None when it has a fault."""
    if isinstance(cells, dict) and cells.keys() == set(settings.features):
        cells = [cells[name] for name in settings.features]
    if isinstance(cells, list) and len(cells) == len(settings.features) and _are_numbers(cells, settings.largest):
        return cells
    return None


def _are_numbers(cells: list[Any], largest: float) -> bool:
    """Return whether all cells are floats within the limit; NaN was parsed as None."""
    return set(map(type, cells)) == {float} and -largest <= min(cells) and max(cells) <= largest


def _faults(cells: Any, settings: ApiSettings) -> Iterator[Fault]:
    """Yield the faults of a row that `_numbers` refused."""
    columns = settings.features
    if isinstance(cells, dict):
        for name in columns:
            if name not in cells:
                yield {"column": name, "detail": "is missing"}
        if unknown := len(cells.keys() - set(columns)):
            yield {"detail": f"has {unknown} name(s) that the model does not know"}
        cells = [cells.get(name, 0.0) for name in columns]
    if not isinstance(cells, list):
        yield {"detail": f"must be an array of {len(columns)} numbers, or an object of numbers by column name"}
    elif len(cells) != len(columns):
        yield {"detail": f"has {len(cells)} value(s); the model takes {len(columns)}"}
    else:
        for name, cell in zip(columns, cells, strict=True):
            if not _are_numbers([cell], settings.largest):
                yield {"column": name, "detail": f"must be a number from {-settings.largest:g} to {settings.largest:g}"}
