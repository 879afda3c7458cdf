"""`python -m bench [PART ...]`: speed, memory and quality, beside the usual alternatives.

Prints a table and writes build/bench.json, or build/bench-parts.json with parts given: a file is always of one run.
`BENCH=small` uses little data, takes two minutes instead of fifteen, and writes bench-small.json; as start-up then
dominates, only the goals that apply at any size count.

Exit code: 0; 1, a goal is missed or a part failed; 2, the benchmark cannot start; 130, stopped by Ctrl-C.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from bench import accuracy, api, end_to_end, endpoint, growth, load, machine, preprocess, serving, training, transform
from bench.deployment import Deployment, deployed
from bench.process import BASELINES, PROJECT
from bench.report import Part, report

BUILD = PROJECT / "build"
SPARE_BYTES = 4e9
"""Disk space for the other parts and the results."""

DEPLOYED = {"end-to-end", "transform", "score", "api", "load"}
"""The parts that need the example's deployment."""


def parts_of(
    folder: Path, example: Callable[[], Deployment], sizes: tuple[int, ...], *, small: bool
) -> dict[str, Part]:
    """All parts, by name; `folder` is for their data, and `example` waits for the example's deployment."""
    rows, half, scored, repeats = (40_000, 80_000, 8_000, 1) if small else (2_000_000, 1_000_000, 200_000, 3)
    return {
        "accuracy": lambda: accuracy.measure(folder, 1 if small else 5),
        "serving": lambda: serving.measure(folder, 1 if small else 20),
        "endpoint": lambda: endpoint.measure(folder, 3 if small else 9, 200 if small else 1000),
        "preprocess": lambda: preprocess.measure(folder, rows, repeats),
        "categories": lambda: preprocess.measure_categories(folder, half, repeats),
        "instances": lambda: preprocess.measure_instances(folder, half, repeats),
        "training": lambda: training.measure(folder, rows, repeats),
        "growth": lambda: growth.measure(folder, sizes),
        "end-to-end": lambda: end_to_end.measure(folder, example(), repeats),
        "transform": lambda: transform.measure(folder, example(), scored, repeats),
        "score": lambda: transform.measure_file(folder, example(), 8_000 if small else 1_000_000),
        "api": lambda: api.measure(folder, example(), *((5, 100) if small else (25, 1000))),
        "inference-pipeline": lambda: api.measure_encoded(300 if small else 1500),
        "load": lambda: load.measure(example(), 2.0 if small else 30.0, quick=small),
    }


def main() -> int:
    """Measure the chosen parts; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    small = os.environ.get("BENCH") == "small"
    sizes = (10_000, 50_000) if small else (100_000, 1_000_000, 5_000_000, 20_000_000)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder, ExitStack() as stack:

        @cache
        def deploy() -> Future[Deployment]:
            return stack.enter_context(ThreadPoolExecutor(1)).submit(stack.enter_context, deployed())

        parts = parts_of(Path(folder), lambda: deploy().result(), sizes, small=small)
        parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
        parser.add_argument("part", nargs="*", metavar="PART", help=f"default: all of {', '.join(parts)}")
        names = parser.parse_args().part
        if unknown := [name for name in names if name not in parts]:
            parser.error(f"no part {', '.join(unknown)}: choose from {', '.join(parts)}")
        chosen = {name: part for name, part in parts.items() if not names or name in names}
        if problem := _missing(growth.BYTES_PER_ROW * sizes[-1] * ("growth" in chosen)):
            print(problem, file=sys.stderr)
            return 2
        if small and not DEPLOYED.isdisjoint(chosen):
            deploy()  # while other parts run: it disturbs no figure that counts
        file = f"bench{'-small' if small else ''}{'-parts' if names else ''}.json"
        return report(machine.measure(BUILD), chosen, file, small=small)


def _missing(data_bytes: float) -> str:
    """Why the benchmark cannot start, and what to do; empty if it can."""
    if not Path(BASELINES).exists():
        return "the baselines are not installed: run `make bench-install`"
    needed, free = SPARE_BYTES + data_bytes, shutil.disk_usage(BUILD).free
    if free < needed:
        space = f"the benchmark needs {needed / 1e9:.0f} GB of disk below {BUILD}, and {free / 1e9:.0f} GB are free"
        return f"{space}: free some, leave out a part (`python -m bench PART ...`), or set BENCH=small"
    return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
