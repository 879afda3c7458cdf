"""All or nothing: a job that fails leaves no part of its output behind."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from problems import VolumeError


@contextmanager
def undone_on_failure(output: Path) -> Iterator[None]:
    """Take back what was written under `output` when it was not all.

    Raises:
        VolumeError: the disk is full.
    """
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
            raise VolumeError(f"{output}: the disk is full: raise processing.volume_gb") from error
        raise
