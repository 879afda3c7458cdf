"""The part of a row: decided by a hash of its features, so that it stays there over retrains."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..shared.errors import TooFewRowsError
from ..shared.settings import JobSettings
from .records import Records


def distinct(records: Records, settings: JobSettings) -> tuple[Records, int, Records]:
    """Return the rows to keep, in the order of their keys (shuffled, and always the same), and those that conflict.

    Of equal rows the first is kept. Rows with the same features and different labels conflict: their number, and the
    first two. For regression these are repeated measurements: all stay, in the same part.
    """
    order = records.order()
    keys, labels = records.keys[order], records.labels[order]
    second = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    second = second[(records.features[order[second - 1]] == records.features[order[second]]).all(axis=1)]
    differ = labels[second] != labels[second - 1]
    conflicting = second[differ] if settings.classes else second[:0]
    first = order[conflicting[0] - 1 : conflicting[0] + 1] if len(conflicting) else order[:0]
    return records[np.delete(order, second[~differ])], len(conflicting), records[first]


def split(rows: Records, settings: JobSettings) -> Iterator[tuple[str, Records]]:
    """Yield the rows of train, validation and hold-out, given in the order of keys: each has its range of them."""
    position = (rows.keys >> np.uint64(11)) * 2.0**-53
    ends = np.cumsum(list(settings.shares.values())[:-1])
    places = [0, *np.searchsorted(position, ends, side="left").tolist(), len(rows)]
    for name, start, end in zip(settings.shares, places[:-1], places[1:], strict=True):
        yield name, rows[start:end]


def check_enough(counts: dict[str, NDArray[np.int64]], source: str, settings: JobSettings) -> None:
    """Check that there are enough rows, given the distinct ones of each part by class; `source` describes the data.

    Raises TooFewRowsError: a class has fewer rows than the settings require, or a part lacks rows.
    """
    names = settings.classes or (settings.target,)
    for name, count in zip(names, sum(counts.values()).tolist(), strict=True):  # type: ignore[union-attr]
        if count < settings.minimum_rows_per_class:
            raise TooFewRowsError(
                f'{source}: {count} different rows for "{name}", at least {settings.minimum_rows_per_class} are wanted:'
                " add rows, or lower data.minimum_rows_per_class"
            )
    # A class without rows in a part makes every later metric meaningless; R2 needs two values.
    least = 1 if settings.classes else 2
    for part, of_part in counts.items():
        for name, count in zip(names, of_part.tolist(), strict=True):
            if count < least:
                raise TooFewRowsError(
                    f'{part} has {count} rows for "{name}", at least {least} are wanted: add rows, enlarge'
                    f" data.split.{part} or change data.split.salt"
                )
    if counts["train"].sum() < settings.mini_batch_size:
        raise TooFewRowsError(
            f"train has {counts['train'].sum()} rows, less than one mini-batch of {settings.mini_batch_size}:"
            " add rows, or make training.hyperparameters.mini_batch_size smaller"
        )
