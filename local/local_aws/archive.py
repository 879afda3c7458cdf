"""Archives of models and of scripts."""

import tarfile
from pathlib import Path


def extract(archive: Path, folder: Path) -> None:
    """Extract a tar archive for the owner alone, whatever modes it has. Raises TarError, EOFError, OSError."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter=_private)  # noqa: S202  # the data filter, with fewer modes


def _private(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    found = tarfile.data_filter(member, folder)
    return found if found.mode is None else found.replace(mode=found.mode & 0o700, deep=False)
