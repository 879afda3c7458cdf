"""`make install` on a machine where it cannot succeed, and over a .venv that is not this folder's."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = ("Makefile", "requirements.txt", "pyproject.toml", "local/pyproject.toml", "package-lock.json")
PYTHON = """#!/bin/sh
case "$1 $2" in
"-I -S") echo VERSION ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "VIRTUAL_ENV=\\"$PWD/$3\\"" >"$3/bin/activate" ;;
"-m pip") PIP ;;
esac
"""
"""A Python of a version, whose pip installs a uv that does nothing."""
PIP = "printf '#!/bin/sh\\n' >.venv/bin/uv && chmod +x .venv/bin/uv"
OFFLINE = """printf '%s\\n' "WARNING: Retrying (Retry(total=0)) after connection broken" \\
    "ERROR: Could not find a version of uv" "ERROR: No matching distribution" >&2; exit 1"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A checkout that each user may read; pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        copied = top / "a check out"
        for name in FILES:
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copied / name)
        program(top / "npm", "#!/bin/sh\nmkdir -p node_modules\n")
        yield copied


def program(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def python(folder: Path, version: str = "3.12", pip: str = PIP) -> str:
    """A Python, whose name says its version."""
    made = program(folder.parent / f"python{version}", PYTHON.replace("VERSION", version).replace("PIP", pip))
    return str(made)


def install(folder: Path, python: str, user: int | None = None, **environment: str) -> tuple[int, list[str]]:
    """The exit code and the lines that it prints, without make's own on a failed recipe."""
    own = {"PATH": f"{folder.parent}:/usr/bin:/bin", "HOME": str(folder.parent), **environment}
    command = ["make", "install", f"PYTHON={python}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=own,
        user=user,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("make: ")]


def stopped(folder: Path, python: str, user: int | None = None, **environment: str) -> str:
    """The only line that it prints when it stops before it installs anything."""
    before = sorted(folder.rglob("*"))
    code, (line,) = install(folder, python, user, **environment)
    assert (code, sorted(folder.rglob("*"))) == (2, before)
    return line.partition(" *** ")[2]


def marked(folder: Path) -> bool:
    """Whether the .venv is the one that the test marked."""
    return (folder / ".venv/marked").exists()


@pytest.mark.drill(
    "start", "`make install` with Python {id}", "one line that names the right version; nothing is installed"
)
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.13", "3.14"])
def test_another_python_is_refused_before_anything_is_installed(folder: Path, version: str) -> None:
    other, _ = python(folder, version), python(folder)
    wanted = "This project needs Python 3.11 or 3.12: make install PYTHON=python3.12.  Stop."
    assert stopped(folder, other) == f"{other} is Python {version}. {wanted}"


@pytest.mark.drill("start", "`make install` with a Python that does not run", "one line")
def test_a_python_that_does_not_run_is_refused(folder: Path) -> None:
    assert stopped(folder, "/no/such/python").startswith("/no/such/python does not run. This project needs Python 3.11")


def test_a_right_environment_is_kept_and_one_of_another_python_or_folder_is_replaced(folder: Path) -> None:
    own, other = python(folder), python(folder, "3.11")
    assert install(folder, own)[0] == 0

    def after(python: str) -> tuple[bool, str]:
        (folder / ".venv/marked").touch()
        assert install(folder, python)[0] == 0
        told = subprocess.run([folder / ".venv/bin/python", "-I", "-S"], capture_output=True, text=True, check=True)
        activate = (folder / ".venv/bin/activate").read_text()
        assert activate == f'VIRTUAL_ENV="{folder}/.venv"\n'
        return marked(folder), told.stdout

    assert after(own) == (True, "3.12\n")
    assert after(other) == (False, "3.11\n")
    program(folder / ".venv/bin/python", PYTHON.replace("VERSION", "3.10"))
    assert after(own) == (False, "3.12\n")
    (folder / ".venv/bin/python").unlink()
    (folder / ".venv/bin/python").symlink_to("/no/such/python")
    assert after(own) == (False, "3.12\n")
    (folder / ".venv/bin/activate").write_text('VIRTUAL_ENV="/elsewhere/.venv"\n')
    assert after(own) == (False, "3.12\n")
    (folder / ".venv/bin/activate").write_text(f'VIRTUAL_ENV="/elsewhere{folder}/.venv"\n')
    assert after(own) == (False, "3.12\n")


@pytest.mark.drill("start", "a read-only checkout, an unwritable HOME", "one line that names it")
def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    own, user = python(folder), 65534 if os.geteuid() == 0 else None  # root may write everywhere
    home = str(folder.parent / "home")
    folder.chmod(0o555)
    assert stopped(folder, own, user).startswith(f"{folder} is not writable: ")
    folder.chmod(0o777)
    assert stopped(folder, own, user, HOME=home).startswith(f"HOME={home} is not writable: ")
    assert stopped(folder, own, HOME="/proc").startswith("HOME=/proc is not writable: ")  # not even for root


@pytest.mark.drill("start", "`make install` without a network", "one line, and where the output is")
def test_without_a_network_one_line_says_so(folder: Path) -> None:
    code, lines = install(folder, python(folder, pip=OFFLINE))
    words = (
        "cannot install uv: ERROR: Could not find a version of uv. Is there a network? All output: build/install.log"
    )
    assert (code, lines) == (2, ["installing the Python packages into .venv ...", words])
