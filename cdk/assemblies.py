"""Cloud assemblies for local deployments: what was synthesised from the same inputs is not synthesised again.

`python -m cdk.assemblies FOLDER` prints the folder of the assembly; the CDK CLI synthesises it if there is none.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cdk.commit import ROOT, commit

INPUTS = ("cdk", "lambdas", "pipeline", "cdk.json", "package-lock.json", "requirements.txt")
"""What a template is made from, besides the settings, the commit and VARIABLES."""
VARIABLES = ("STAGE", "CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION", "AWS_DEFAULT_REGION")
KEPT = 20
"""Assemblies that a folder keeps: those that were used last."""


def key(config: Path, root: Path = ROOT) -> str:
    """Return the hash of everything that the assembly of these settings depends on. Raises OSError for no settings."""
    found = hashlib.sha256(json.dumps([commit(), *(os.environ.get(name) for name in VARIABLES)]).encode())
    for path in [config, *(path for name in INPUTS for path in _files(root / name))]:
        name = "" if path == config else str(path.relative_to(root))
        found.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:32]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def assembly(folder: Path, name: str, synthesise: Callable[[Path], None]) -> Path:
    """Return the assembly of this name below `folder`; `synthesise` writes a new one into the path that it is given.

    Callers with the same name wait for each other. One that was not finished is never returned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = folder / f"{name}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            synthesise(unfinished)
            unfinished.rename(made)
        os.utime(lock.fileno())
    for old in sorted(folder.glob("*.lock"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        for of_it in (old.with_suffix(""), old.with_suffix(".new")):
            shutil.rmtree(of_it, ignore_errors=True)
        old.unlink(missing_ok=True)
    return made


def by_the_cli(out: Path) -> None:
    """Synthesise into this folder. CDK_VALIDATION: its own rules only warn, and take a third of the time."""
    command = [str(ROOT / "node_modules" / ".bin" / "cdk"), "synth", "--quiet", "--output", str(out)]
    environment = {**os.environ, "CDK_VALIDATION": "false"}
    if code := subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    config = Path(os.environ.get("PIPELINE_CONFIG", ROOT / "pipeline.toml"))
    print(assembly(Path(sys.argv[1]), key(config), by_the_cli))
