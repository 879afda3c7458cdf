from pathlib import Path

import pytest

from bench.figures import Measurements


@pytest.fixture
def sample() -> Measurements:
    return Measurements.load(Path(__file__).with_name("sample.json"))
