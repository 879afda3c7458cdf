"""All or nothing: a job that fails leaves no partial output."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..shared.errors import JobError


@contextmanager
def atomic_output(output: Path) -> Iterator[None]:
    """Remove partial output under `output` on failure. Raises JobError: the disk is full."""
    before = {output, *output.rglob("*")} if output.exists() else set()
    try:
        yield
    except BaseException as error:
        for path in sorted({output, *output.rglob("*")} - before, reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise JobError(f"{output}: the disk is full: raise processing.volume_gb") from error
        raise
