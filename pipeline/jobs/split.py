"""Which part a row belongs to: decided by a hash of its features, so that it stays there over retrains."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from csv_rows import Floats, Rows
from job_settings import JobSettings
from numpy.typing import NDArray
from problems import SplitError, TableError

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Part:
    """The rows of train, validation or hold-out, in the order of their keys: shuffled, and always the same."""

    keys: Keys
    features: Floats
    labels: Floats


def row_keys(features: Floats, salt: str) -> Keys:
    """Return a 64-bit hash of each row's values (shape (rows,)): equal numbers, however written, hash equal.

    The mixing step is splitmix64's (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    seed = np.frombuffer(hashlib.blake2b(salt.encode("utf-8"), digest_size=8).digest(), np.uint64)
    keys = np.repeat(seed, len(features))
    for column in features.T:
        keys ^= np.ascontiguousarray(column).view(np.uint64)
        keys += np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys ^= keys >> np.uint64(31)
    return keys


def distinct(rows: Rows, keys: Keys, settings: JobSettings) -> NDArray[np.int64]:
    """Return the numbers of the rows to keep, in the order of their keys; of equal rows the first is kept.

    For regression, equal features with unequal values are repeated measurements: all stay, in the same part.

    Raises:
        TableError: for classes, two rows with the same features have different labels.
    """
    order = np.lexsort((rows.labels, keys))
    before, after = order[:-1], order[1:]
    twin = keys[before] == keys[after]
    twin[twin] = (rows.features[before[twin]] == rows.features[after[twin]]).all(axis=1)
    differ = twin & (rows.labels[before] != rows.labels[after])
    if settings.classes and differ.any():
        clash = int(np.flatnonzero(differ)[0])
        one, two = sorted((int(before[clash]), int(after[clash])))
        labels = [settings.classes[int(rows.labels[row])] for row in (one, two)]
        raise TableError(
            f'{rows.place(one)} and {rows.place(two)}: the same features are labelled "{labels[0]}" and "{labels[1]}":'
            f" correct one or remove both ({int(differ.sum())} such in all)"
        )
    keep: NDArray[np.int64] = order[np.concatenate(([True], ~(twin & ~differ)))]
    return keep


def split(rows: Rows, keys: Keys, keep: NDArray[np.int64], settings: JobSettings) -> dict[str, Part]:
    """Return train, validation and hold-out: each takes its share of the hash's range.

    Raises:
        SplitError: a class has fewer rows than the settings want, or a part lacks rows.
    """
    _check_enough(rows, keep, settings)
    position = (keys[keep] >> np.uint64(11)) * 2.0**-53
    ends = np.cumsum(list(settings.shares.values())[:-1])
    number = np.searchsorted(ends, position, side="right")
    parts = {}
    for index, name in enumerate(settings.shares):
        chosen = keep[number == index]
        parts[name] = Part(keys[chosen], rows.features[chosen], rows.labels[chosen])
        _check_part(name, parts[name], settings)
    if len(parts["train"].labels) < settings.mini_batch_size:
        raise SplitError(
            f"train has {len(parts['train'].labels)} rows, less than one mini-batch of {settings.mini_batch_size}:"
            " add rows, or make training.hyperparameters.mini_batch_size smaller"
        )
    return parts


def _check_enough(rows: Rows, keep: NDArray[np.int64], settings: JobSettings) -> None:
    source = f"{len(rows.labels)} rows in {len(rows.files)} file(s), first {rows.files[0].relative_to(rows.root)}"
    minimum = settings.minimum_rows_per_class
    for name, count in _counts(rows.labels[keep], settings).items():
        if count < minimum:
            raise SplitError(
                f'{source}: {count} different rows for "{name}", at least {minimum} are wanted: add rows, or lower'
                " data.minimum_rows_per_class"
            )


def _check_part(name: str, part: Part, settings: JobSettings) -> None:
    # A class nobody trained on or measured makes every figure after this meaningless; R2 wants two values.
    least = 1 if settings.classes else 2
    for label, count in _counts(part.labels, settings).items():
        if count < least:
            raise SplitError(
                f'{name} has {count} rows for "{label}", at least {least} are wanted: add rows, enlarge'
                f" data.split.{name} or change data.split.salt"
            )


def _counts(labels: Floats, settings: JobSettings) -> dict[str, int]:
    if not settings.classes:
        return {settings.target: len(labels)}
    return {name: int((labels == number).sum()) for number, name in enumerate(settings.classes)}
