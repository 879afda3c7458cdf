"""A table with a number, a category and a boolean."""

import dataclasses

import pytest

from pipeline.jobs.shared.settings import JobSettings
from tests.pipeline.jobs.drift.capture import KINDS


@pytest.fixture
def kinds(settings: JobSettings) -> JobSettings:
    """The settings of a table with a number, a category and a boolean."""
    changes = {"kinds": ("numeric", "categorical", "boolean"), "imputed": (True, False, True)}
    return dataclasses.replace(settings, features=tuple(KINDS), **changes)
