"""`python -m bench`: speed, memory and quality beside what one would use instead.

Prints a table and writes build/bench.json. `BENCH=small` takes a fifth of the rows. Exits with 1 when a goal is missed.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import api, load, serving, training, wdbc
from bench.deployment import deployed
from bench.figure import Figure
from bench.process import PROJECT
from bench.report import report

LOAD_SECONDS = 60.0
"""A tenth of what `make load` takes, by the same program."""


def measure(small: bool) -> Iterator[Figure]:
    """Every figure, as it is measured."""
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as folder:
        yield from wdbc.measure(Path(folder), repeats=1 if small else 5)
        yield from serving.measure(Path(folder))
        yield from training.measure(Path(folder), 400_000 if small else 2_000_000)
        with deployed() as deployment:
            yield from api.measure(Path(folder), deployment)
            yield from load.measure(deployment, LOAD_SECONDS)


if __name__ == "__main__":
    sys.exit(report(measure(os.environ.get("BENCH") == "small"), "bench.json"))
