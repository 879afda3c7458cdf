"""Memory that is freed goes back to the system, whatever small things lie between large ones."""

import subprocess
import sys
from pathlib import Path

import pytest

JOBS = Path(__file__).parents[3] / "pipeline/jobs"
HELD_AFTER = """
import sys
sys.path.insert(0, sys.argv[1])
from heap import large_arrays_apart

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) >> 10

if sys.argv[2] == "apart":
    large_arrays_apart()
before, kept = held(), []
for _ in range(8):
    large = [bytearray(16 << 20) for _ in range(4)]
    kept.append(bytearray(100 << 10))
    del large
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_arrays_that_are_freed_leave_nothing_behind():
    held = {
        how: int(
            subprocess.run([sys.executable, "-c", HELD_AFTER, str(JOBS), how], capture_output=True, check=True).stdout
        )
        for how in ("apart", "as is")
    }
    assert held["apart"] < 8 < held["as is"]
