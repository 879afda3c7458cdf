"""Rows from a caller's body: finite numbers, exactly the model's columns, or a problem that names row and column.

Python's parsers are more generous than the contract: they take NaN, Infinity, 1e999, true for 1.0, "1_000" and
full-width digits. What leaves here is floats; nothing of the caller's text goes any further.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .contract import Contract
from .problem import Problem

LISTED = 20
"""How many faults a problem lists at most."""
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

Row = list[float]
Fault = dict[str, Any]


def from_data(text: str, contract: Contract) -> list[Row]:
    """Return the one row of `{"data": "<numbers, separated by commas>"}`, the body of 2018."""
    data = _object(text, "data")["data"]
    if not isinstance(data, str):
        raise Problem("bad-body", '"data" must be a string: the numbers of one row, separated by commas')
    return _checked([_cells(data.strip("\r\n"))], contract)


def from_instances(text: str, contract: Contract) -> list[Row]:
    """Return the rows of `{"instances": [...]}`, each an array in the columns' order or an object by their names."""
    instances = _object(text, "instances")["instances"]
    if not isinstance(instances, list):
        raise Problem("bad-body", '"instances" must be an array of rows')
    return _checked(instances, contract)


def from_csv(text: str, contract: Contract) -> list[Row]:
    """Return the rows of `text/csv`: a row a line, no header, no quotes; a byte order mark is skipped."""
    lines = text.removeprefix("\ufeff").strip("\r\n")
    return _checked([_cells(line.removesuffix("\r")) for line in lines.split("\n")] if lines else [], contract)


def _cells(line: str) -> list[Any]:
    """Return a line's cells, as numbers where they are written as such."""
    cells = [cell.strip(" \t") for cell in line.split(",")]
    return [float(cell) if _NUMBER.fullmatch(cell) else cell for cell in cells]


def _object(text: str, key: str) -> dict[str, Any]:
    """Return the JSON object in `text`, whose one member is `key`."""
    try:
        # Integers become floats at once: an int of a million digits would cost quadratic time.
        body = json.loads(text, parse_int=float, parse_constant=lambda _: None, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise Problem("bad-json", "Send one JSON object, UTF-8, without duplicate names") from None
    if not isinstance(body, dict) or body.keys() != {key}:
        raise Problem("bad-body", f'Send an object with the one member "{key}"')
    return body


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate names")
    return members


def _checked(given: list[Any], contract: Contract) -> list[Row]:
    """Return all rows, or raise Problem with every fault: a batch is scored whole or not at all."""
    if not given:
        raise Problem("bad-body", "There is no row in the body: send at least one")
    if len(given) > contract.max_rows:
        raise Problem("too-large", f"Send at most {contract.max_rows} rows in one call; {len(given)} came")
    rows = [_numbers(cells, contract) for cells in given]
    refused = (number for number, row in enumerate(rows, 1) if row is None)
    faults = ({"row": number, **fault} for number in refused for fault in _faults(given[number - 1], contract))
    if errors := list(islice(faults, LISTED)):
        detail = f"No row was scored. Correct what `errors` lists (the first {LISTED} at most) and send all rows again"
        raise Problem("bad-rows", detail, errors=errors)
    return [row for row in rows if row is not None]


def _numbers(cells: Any, contract: Contract) -> Row | None:
    """Return the row if nothing is wrong with it."""
    if isinstance(cells, dict) and cells.keys() == set(contract.features):
        cells = [cells[name] for name in contract.features]
    if isinstance(cells, list) and len(cells) == len(contract.features) and _are_numbers(cells, contract.largest):
        return cells
    return None


def _are_numbers(cells: list[Any], largest: float) -> bool:
    """Every number was parsed as a float, and NaN as None; so a bool or a text is no number here."""
    return set(map(type, cells)) == {float} and -largest <= min(cells) and max(cells) <= largest


def _faults(cells: Any, contract: Contract) -> Iterator[Fault]:
    """Yield what is wrong with a row that has no numbers."""
    columns = contract.features
    if isinstance(cells, dict):
        for name in columns:
            if name not in cells:
                yield {"column": name, "detail": "is missing"}
        unknown = len(cells.keys() - set(columns))
        if unknown:
            yield {"detail": f"has {unknown} name(s) that the model does not know"}
        cells = [cells.get(name, 0.0) for name in columns]
    if not isinstance(cells, list):
        yield {"detail": f"must be an array of {len(columns)} numbers, or an object of numbers by column name"}
    elif len(cells) != len(columns):
        yield {"detail": f"has {len(cells)} value(s); the model takes {len(columns)}"}
    else:
        for name, cell in zip(columns, cells, strict=True):
            if not _are_numbers([cell], contract.largest):
                yield {"column": name, "detail": f"must be a number from {-contract.largest:g} to {contract.largest:g}"}
