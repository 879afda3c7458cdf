"""The commit that is deployed."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def commit() -> str:
    """Return the deployed commit: CodeBuild's, or the working tree's, with `-dirty` if it has changes."""
    if "CODEBUILD_RESOLVED_SOURCE_VERSION" in os.environ:
        return os.environ["CODEBUILD_RESOLVED_SOURCE_VERSION"]
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    described = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"
