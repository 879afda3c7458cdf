"""Models that several tests share: trained once, served once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .data import Split, split
from .jobs import Client, lay_out, serving, trained


@pytest.fixture(scope="session")
def wdbc() -> Split:
    return split("wdbc")


@pytest.fixture(scope="session")
def wdbc_job(tmp_path_factory: pytest.TempPathFactory, wdbc: Split) -> tuple[Path, str]:
    """A finished training job with all three channels, and its log."""
    root = tmp_path_factory.mktemp("wdbc")
    channels = {"train": wdbc.train, "validation": wdbc.validation[:100], "test": wdbc.validation[100:]}
    return root, trained(lay_out(root, channels, predictor_type="binary_classifier", mini_batch_size=32))


@pytest.fixture(scope="session")
def server(wdbc_job: tuple[Path, str]) -> Iterator[Client]:
    """The breast cancer model over HTTP."""
    with serving(wdbc_job[0]) as client:
        yield client
