"""`python -m bench [PART ...]`: speed, memory and quality beside what one would use instead.

Prints a table and writes build/bench.json and build/growth.json; with parts named, the figures of the others stay in
the first. `BENCH=small` takes little data, two minutes instead of twenty, and writes bench-small.json and
growth-small.json; as start-up is then most of it, only the goals that hold at any size count.

Exit code: 0; 1, a goal is missed or a part broke; 2, it cannot begin; 130, stopped by Ctrl-C.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from bench import api, endpoint, growth, instances, load, preprocess, serving, training, transform, wdbc, whole
from bench.deployment import Deployment, deployed
from bench.process import PROJECT, YARDSTICKS
from bench.report import Part, report

BUILD = PROJECT / "build"
SPARE_BYTES = 4e9
"""What the other parts take, and the results."""

DEPLOYED = {"whole", "transform", "api", "load"}
"""The parts that take the example's deployment."""


class Bench:
    """The parts, at one of two sizes.

    Args:
        folder: For data; emptied by whoever made it.
        stack: What is deployed for several parts is undeployed with it.
        small: Whether little is enough.
    """

    def __init__(self, folder: Path, stack: ExitStack, *, small: bool) -> None:
        self._folder, self._stack, self._small = folder, stack, small
        self.sizes = (10_000, 50_000) if small else (100_000, 1_000_000, 5_000_000, 20_000_000)

    @property
    def example(self) -> Deployment:
        """The example's pipeline, deployed when the first part asks for it."""
        return self._example.result()

    @cached_property
    def _example(self) -> Future[Deployment]:
        return self._stack.enter_context(ThreadPoolExecutor(1)).submit(self._stack.enter_context, deployed())

    def begin(self, chosen: Iterable[str]) -> None:
        """Deploy the example while other parts run, where no figure of theirs counts that this would spoil."""
        if self._small and not DEPLOYED.isdisjoint(chosen):
            self._example.running()

    def parts(self) -> dict[str, Part]:
        """What there is to measure, by name."""
        folder, small = self._folder, self._small
        repeats = 1 if small else 3
        return {
            "accuracy": lambda: wdbc.measure(folder, 1 if small else 5),
            "serving": lambda: serving.measure(folder, 1 if small else 20),
            "endpoint": lambda: endpoint.measure(folder, 3 if small else 9, 200 if small else 1000),
            "preprocess": lambda: preprocess.measure(folder, 40_000 if small else 2_000_000, repeats),
            "instances": lambda: instances.measure(folder, 80_000 if small else 2_000_000, repeats),
            "training": lambda: training.measure(folder, 40_000 if small else 2_000_000, repeats),
            "growth": lambda: growth.measure(folder, self.sizes, "growth-small.json" if small else "growth.json"),
            "whole": lambda: whole.measure(folder, self.example, repeats),
            "transform": lambda: transform.measure(folder, self.example, 8_000 if small else 200_000, repeats),
            "api": lambda: api.measure(folder, self.example, *((5, 100) if small else (25, 1000))),
            "load": lambda: load.measure(self.example, 2.0 if small else 30.0, quick=small),
        }


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    small = os.environ.get("BENCH") == "small"
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack, small=small)
        parts = bench.parts()
        parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
        parser.add_argument("part", nargs="*", metavar="PART", help=f"all, or some of {', '.join(parts)}")
        asked = parser.parse_args().part
        if unknown := [name for name in asked if name not in parts]:
            parser.error(f"no part {', '.join(unknown)}: choose from {', '.join(parts)}")
        chosen = {name: part for name, part in parts.items() if not asked or name in asked}
        if problem := _missing(chosen, bench.sizes[-1]):
            print(problem, file=sys.stderr)
            return 2
        bench.begin(chosen)
        name = "bench-small.json" if small else "bench.json"
        return report(chosen, name, small=small, whole=not asked)


def _missing(chosen: dict[str, Part], rows: int) -> str:
    """What keeps this from beginning, and what to do; nothing when all is there."""
    if not Path(YARDSTICKS).exists():
        return "what we are compared with is not installed: `make bench-install`"
    needed = SPARE_BYTES + growth.BYTES_A_ROW * rows * ("growth" in chosen)
    free = shutil.disk_usage(BUILD).free
    if free < needed:
        more = f"{needed / 1e9:.0f} GB of disk are needed below {BUILD}, {free / 1e9:.0f} GB are free"
        return f"{more}: make room, or leave a part out (`python -m bench PART ...`), or BENCH=small"
    return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
