"""Cores of its own for each instance, as on AWS: two instances then compare with one as they do there."""

import os
import sys
from contextlib import suppress
from itertools import count


class Cores:
    """Deals the cores out in turn.

    Args:
        each: Cores of a container; 0: all of them, whoever uses them. Linux only: elsewhere it is always all.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._turn = count()

    def give(self, pid: int) -> None:
        """Keep a process that has just started, and its threads to come, to its cores."""
        if self._each and sys.platform == "linux":
            cores, first = sorted(os.sched_getaffinity(0)), next(self._turn) * self._each
            with suppress(ProcessLookupError):
                os.sched_setaffinity(pid, {cores[(first + more) % len(cores)] for more in range(self._each)})
