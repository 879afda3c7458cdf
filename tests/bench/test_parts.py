"""Every part of the benchmark still measures, on little data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import parts_of
from bench.process import BASELINES
from tests.conftest import ROOT

PARTS = list(parts_of(Path(), pytest.fail, (), small=True))


@pytest.mark.full
@pytest.mark.skipif(not Path(BASELINES).exists(), reason="no baselines: `make bench-install`")
@pytest.mark.timeout(900)
def test_every_part_measures() -> None:
    """Goals may be missed here: other tests run meanwhile."""
    small = {**os.environ, "BENCH": "small"}
    done = subprocess.run(
        [sys.executable, "-m", "bench"], env=small, cwd=ROOT, capture_output=True, text=True, check=False
    )
    figures = json.loads((ROOT / "build" / "bench-small.json").read_text())
    failed = "Traceback" in done.stdout
    assert (done.returncode in (0, 1), failed, {each["part"] for each in figures}) == (True, False, {*PARTS}), done
