"""Memory that is freed goes back to the system, whatever small things lie between large ones."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HELD_AFTER = """
import sys
from pipeline.jobs.shared.malloc_settings import map_large_arrays

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) >> 10

if sys.argv[1] == "mapped":
    map_large_arrays()
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
            subprocess.run([sys.executable, "-c", HELD_AFTER, how], capture_output=True, check=True, cwd=ROOT).stdout
        )
        for how in ("mapped", "default")
    }
    assert held["mapped"] < 8 < held["default"]
