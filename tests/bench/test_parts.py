"""Every part of the benchmark still measures, on little data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import parts_of
from bench.figures import Measurements
from bench.process import BASELINES
from tests.conftest import ROOT

PARTS = list(parts_of(Path(), pytest.fail, (), small=True))


@pytest.mark.full
@pytest.mark.skipif(not Path(BASELINES).exists(), reason="no baselines: `make bench-install`")
@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_every_part_measures() -> None:
    """Goals may be missed here: so little data is dominated by start-up."""
    small = {**os.environ, "BENCH": "small"}
    done = subprocess.run(
        [sys.executable, "-m", "bench"], env=small, cwd=ROOT, capture_output=True, text=True, check=False
    )
    run = Measurements.load(ROOT / "build" / "bench-small.json")
    parts = {figure.part for figure in run.figures}
    assert (done.returncode in (0, 1), run.failed, parts) == (True, [], {*PARTS}), done
