"""The package of the jobs, as SageMaker's containers run it: `python3 jobs.zip COMMAND …`."""

import shutil
from pathlib import Path

JOBS = Path(__file__).parent.parent / "pipeline" / "jobs"
MAIN = """\
import os, sys
from jobs.__main__ import main
code = main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""
"""Without the interpreter's own end: pyarrow 17 on Python 3.10 sometimes aborts there, after all output was written."""


def write_jobs(target: Path) -> Path:
    """Write the content of jobs.zip, the package `jobs` and a __main__.py, to the folder `target`, and return it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(JOBS, target / "jobs", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (target / "__main__.py").write_text(MAIN, encoding="utf-8")
    return target
