"""Each container has its own cores when SAGEMAKER_INSTANCE_CORES is set."""

import os
import subprocess
import sys

import pytest
from local_aws.sagemaker.host import Cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")


def given(cores: Cores, times: int) -> list[set[int]]:
    """The cores of processes started one after the other."""
    found = []
    for _ in range(times):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            cores.give(process.pid)
            found.append(os.sched_getaffinity(process.pid))
            process.communicate(b"\n")
            cores.give(process.pid)  # it has ended
    return found


def test_containers_take_the_cores_in_turn() -> None:
    every = sorted(os.sched_getaffinity(0))
    dealt = [every[number % len(every)] for number in (0, 2, 4)]  # `given` takes two turns a process
    assert given(Cores(1), 3) == [{core} for core in dealt]
    assert given(Cores(len(every)), 1) == [set(every)]


def test_without_a_number_they_share_all() -> None:
    assert given(Cores(0), 1) == [os.sched_getaffinity(0)]
