"""Types of arrays, the errors of which FailureReason shows the text, and items that a thread gets ahead."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Item = TypeVar("Item")


class ContainerError(Exception):
    """The container cannot go on. `str` is what goes into /opt/ml/output/failure, prefix included."""

    prefix = "AlgorithmError"

    def __str__(self) -> str:
        return f"{self.prefix}: {super().__str__()}"


class ClientError(ContainerError):
    """The user's data or hyperparameters are wrong."""

    prefix = "ClientError"


class AlgorithmError(ContainerError):
    """The algorithm failed although nothing is known to be wrong with what it was given."""


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, none of them None, and get the next one in a thread meanwhile, by the caller's np.errstate."""
    with ThreadPoolExecutor(1) as thread:
        following, context = partial(next, iter(items), None), copy_context()
        coming = thread.submit(context.run, following)
        while (item := coming.result()) is not None:
            coming = thread.submit(context.run, following)
            yield item
