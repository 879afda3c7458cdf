"""A few rows of the hold-out with the model's answers, which the smoke test of a deployment asks the API for."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared.documents import SmokeRow
from ..shared.errors import JobError
from ..shared.metrics import Predictions
from ..shared.settings import JobSettings

MOST = 8
MOST_BYTES = 60_000
"""Of all rows as JSON: the deployment reads them into its state, whose data is at most 256 KiB, once as text in it."""


def smoke_rows(holdout: Path, answers: Predictions, settings: JobSettings, most: int = MOST) -> list[SmokeRow]:
    """Return up to `most` rows as CSV text with their answers: the first of each predicted class, in turn.

    A row with which they would have more than MOST_BYTES is left out, so there may be none. The hold-out has its rows
    in the order of a hash, so the first ones are a sample. Raises JobError: a row that was answered is not in
    `holdout`.
    """
    rows, size = list[SmokeRow](), 0
    ends = np.cumsum(list(answers.rows_by_file.values()))
    classes = np.zeros(len(answers.scores)) if answers.classes is None else answers.classes
    for place in _first_of_each(classes, most):
        file = int(np.searchsorted(ends, place, "right"))
        name, count = list(answers.rows_by_file.items())[file]
        text = _line(holdout, name.removesuffix(".out"), place - int(ends[file]) + count)
        row: SmokeRow = {"row": text, "score": answers.scores[place].tolist()}
        if answers.classes is not None:
            row["label"] = settings.classes[int(classes[place])]
        length = len(json.dumps(row))
        if size + length <= MOST_BYTES:
            rows.append(row)
            size += length
    return rows


def _first_of_each(classes: NDArray[Any], most: int) -> list[int]:
    """Return the places, in order, of the first row of each class, then of the second of each, and so on."""
    firsts = [np.flatnonzero(classes == number)[:most] for number in np.unique(classes)]
    turns = np.concatenate([np.arange(len(places)) for places in firsts])
    return sorted(np.concatenate(firsts)[np.argsort(turns, kind="stable")[:most]].tolist())


def _line(folder: Path, name: str, number: int) -> str:
    """Return a line of a file as a raw CSV row; it counts from 0."""
    try:
        with (folder / name).open(encoding="utf-8") as lines:
            text = next(islice(lines, number, None)).rstrip("\n")
    except (FileNotFoundError, StopIteration):
        fault = f"no line {number + 1} in {name}: is it the hold-out that the model answered?"
        raise JobError(f"{folder}: {fault}") from None
    return ",".join(map(repr, json.loads(text)["features"])) if name.endswith(".jsonl") else text
