"""Short pauses: a request does not wait long for Step Functions' interpreter, nor for Python's collector of cycles."""

import gc
import sys
import time

SWITCH_SECONDS = 0.0005
"""After so long a thread that computes gives Python's lock to one that waits. Python's default is 0.005, and a request
waits for the lock several times. Of 40 requests a second beside retrainings the 99th percentile was 133 ms by default,
67 ms so."""
LONG_SECONDS = 0.05
"""A collection that takes longer was mostly of what stays, such as botocore's models of services: up to 0.5 s each
minute on a slow machine."""


def shorten() -> None:
    """Shorten the pauses of this process from now on."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.callbacks.append(Freezer(LONG_SECONDS))


class Freezer:
    """Called before and after each collection; what one of more than `seconds` has left is not looked at again."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take note of the phase, "start" or "stop"."""
        if phase == "start":
            self._began = time.monotonic()
        elif info["generation"] == 2 and time.monotonic() - self._began > self._seconds:
            gc.freeze()
