"""Which of the long tests with the mark `rotated` a short test run has, too: others for each commit."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

AT_ONCE = 2


def turn() -> str:
    """ROTATION, or else the commit that is tested; nothing outside of a repository."""
    for name in ("ROTATION", "CODEBUILD_RESOLVED_SOURCE_VERSION"):
        if name in os.environ:
            return os.environ[name]
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def chosen(names: Iterable[str], of: str | None = None) -> set[str]:
    """AT_ONCE of these tests, by their names and the turn alone."""
    this = turn() if of is None else of
    return set(sorted(names, key=lambda name: hashlib.sha256(f"{this} {name}".encode()).digest())[:AT_ONCE])
