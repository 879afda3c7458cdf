"""What a long collection of cycles has left is not walked again."""

import gc
from collections.abc import Iterator
from math import inf

import pytest
from local_aws.pauses import Freezer


@pytest.fixture
def frozen() -> Iterator[int]:
    """How many objects are frozen before the test."""
    yield gc.get_freeze_count()
    gc.unfreeze()


@pytest.mark.parametrize(("longest", "generation", "freezes"), [(0.0, 2, True), (0.0, 1, False), (inf, 2, False)])
def test_a_long_collection_of_all_freezes_what_is_left(
    frozen: int, longest: float, generation: int, freezes: bool
) -> None:
    freezer = Freezer(longest)
    gc.callbacks.append(freezer)
    try:
        gc.collect(generation)
    finally:
        gc.callbacks.remove(freezer)
    assert (gc.get_freeze_count() > frozen) == freezes
