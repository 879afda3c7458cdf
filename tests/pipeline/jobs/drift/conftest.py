"""A table with a number, a category and a boolean."""

import dataclasses

import pytest

from pipeline.jobs.shared.settings import JobSettings
from tests.pipeline.jobs.drift.capture import KINDS


@pytest.fixture
def kinds(settings: JobSettings) -> JobSettings:
    """The settings of a table with a number, a category and a boolean."""
    imputed, of_each = (True, False, True), ("numeric", "categorical", "boolean")
    return dataclasses.replace(settings, features=tuple(KINDS), kinds=of_each, imputed=imputed)
