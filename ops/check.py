"""What preprocessing says about files, before they are uploaded: its program runs here."""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Result, command
from pipeline.config import Settings

ROOT = Path(__file__).parents[1]
TOO_FEW = ("are wanted: ", "less than one mini-batch")
"""Phrases of the errors about too few rows: other files may have the rest."""


@dataclass(frozen=True)
class Checked:
    """Whether preprocessing accepts the files, and its counts of rows or its error."""

    accepted: bool
    message: str

    @property
    def too_few(self) -> bool:
        """Whether the rows are right, but too few for a run without others."""
        return not self.accepted and any(phrase in self.message for phrase in TOO_FEW)


@command
def check(
    account: Account, files: Annotated[list[Path], typer.Argument(help="The files, together as one data set.")]
) -> Result:
    """Say what preprocessing would say about files; nothing is uploaded. Exit code: 0 accepted, 1 refused."""
    found = checked(account.settings, files)
    if not found.accepted:
        raise OpsError(found.message)
    return Result(found, f"accepted: {found.message}")


def check_names(files: list[Path]) -> None:
    """Raise OpsError for a name that a run cannot read."""
    if odd := [file.name for file in files if any(ord(sign) < 32 or ord(sign) == 127 for sign in file.name)]:
        raise OpsError(f"the name ${odd[0]!r} has a control character: rename the file")


def checked(settings: Settings, files: list[Path]) -> Checked:
    """Run preprocessing on files; one that a run would set aside is refused.

    Raises OpsError: a file is not there, two have one name, or one has a line break.
    """
    check_names(files)
    if missing := [str(file) for file in files if not file.is_file()]:
        raise OpsError(f"{', '.join(missing)}: no such file")
    if twice := [name for name, count in Counter(file.name for file in files).items() if count > 1]:
        raise OpsError(f"two files are called {', '.join(twice)}: the second would replace the first")
    with TemporaryDirectory() as folder:
        data, document, message = (Path(folder) / name for name in ("data", "settings.json", "message"))
        data.mkdir()
        for file in files:
            (data / file.name).symlink_to(file.resolve())
        # The message stays where the files are.
        strict = settings.data.model_copy(update={"on_bad_file": "fail", "show_values": True})
        document.write_text(settings.model_copy(update={"data": strict}).to_json(), encoding="utf-8")
        options = ["--settings", document, "--input", data, "--output", Path(folder) / "output", "--message", message]
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.jobs", "preprocess", *map(str, options)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        said = message.read_text(encoding="utf-8") if message.is_file() else done.stdout or done.stderr
    # The file is not uploaded yet.
    said = said.partition("; or take the file away: ")[0].replace(f"{data}: ", "")
    return Checked(done.returncode == 0, said.strip())
