"""The programs that run inside SageMaker jobs: `python pipeline/jobs COMMAND …`, or `python3 jobs.zip COMMAND …`."""

import argparse
import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from inspect import getdoc, signature
from pathlib import Path

if not __package__:  # python pipeline/jobs COMMAND
    sys.path.insert(0, str(Path(__file__).parents[1]))
    __package__ = "jobs"
# Before numpy is imported: the products are small, and to start a second BLAS thread takes 20 ms.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .drift.job import drift
from .evaluate.job import evaluate
from .preprocess.job import preprocess
from .preprocess.merge import merge
from .score.join import join
from .score.prepare import prepare
from .shared.errors import JobError
from .shared.settings import read_settings

MESSAGE_BYTES = 1024
"""The first 1 KB of /opt/ml/output/message becomes the job's ExitMessage (Developer Guide, "Build your own processing
container")."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
JOBS: tuple[Callable[..., None], ...] = (preprocess, merge, evaluate, drift, prepare, join)
COMMANDS = {job.__name__: job for job in JOBS}


def main(arguments: list[str] | None = None) -> int:
    """Run one program; return 0, or 1 after writing the error to stderr and to the message file."""
    options = vars(_parser().parse_args(arguments))
    command, message = options.pop("command"), options.pop("message")
    map_large_arrays()
    sys.meta_path.insert(0, WithoutPandas())
    try:
        COMMANDS[command](**options)
    except JobError as error:
        _report(str(error), message)
        return 1
    except Exception as error:
        # What another error says may have values in it: a number that Python cannot read, for example.
        if isinstance(error, OSError | MemoryError) or _shows_values(options["settings"]):
            _report(f"{command} failed, {type(error).__name__}: {error}", message)
            raise
        traceback.print_tb(error.__traceback__)
        _report(f"{command} failed, {type(error).__name__}; data.show_values = true shows what it says", message)
        return 1
    return 0


def _shows_values(settings: Path) -> bool:
    try:
        return read_settings(settings).show_values
    except JobError:
        return False


class WithoutPandas:
    """Hides pandas, which pyarrow imports to convert Python values if it can: 0.7 s of a job's start."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Find no module. Raises ModuleNotFoundError: it is pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def map_large_arrays() -> None:
    """Allocate every array from 8 MB on its own pages; smaller ones share one heap, with 16 MB in reserve.

    For glibc only; other C libraries have no such settings. By default it takes arrays of up to 32 MB from the heap
    once one was freed (mallopt(3), "dynamic mmap threshold"), and has a heap per thread. A few small arrays among the
    large ones then keep a heap from shrinking: preprocessing 20 million rows peaked at 445 to 480 MB instead of 250.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for setting, value in ((M_MMAP_THRESHOLD, 8 << 20), (M_TRIM_THRESHOLD, 16 << 20), (M_ARENA_MAX, 1)):
            mallopt(setting, value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, job in COMMANDS.items():
        command = commands.add_parser(name, description=getdoc(job), formatter_class=argparse.RawTextHelpFormatter)
        command.add_argument("--message", type=Path, help="file for the one-line message on failure")
        for argument in signature(job).parameters.values():
            flag, required = argument.name.strip("_").replace("_", "-"), argument.default is argument.empty
            command.add_argument(f"--{flag}", dest=argument.name, type=Path, required=required)
    return parser


def _report(message: str, file: Path | None) -> None:
    line = " ".join(message.split())
    print(line, file=sys.stderr)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line.encode("utf-8")[:MESSAGE_BYTES].decode("utf-8", "ignore"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
