"""Changes of the code that tests must catch: each one of mutants.toml is made in a copy of the tree (`make mutants`)."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAST = 0.95
"""The share of the mutants that must be caught."""
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+\.py::.+?)(?: - |$)", re.M)


@dataclass(frozen=True)
class Mutant:
    """A change of a file: `behaviour` is what the changed code does wrong, `tests` are those that must fail by it.

    `survives` is the reason why no test can catch it. With `cloud` the tests may start a local AWS.
    """

    area: str
    behaviour: str
    file: str
    old: str
    new: str
    tests: list[str]
    survives: str = ""
    cloud: bool = False


class NotMutated(Exception):
    """A mutant says nothing about its tests: they did not run, or they fail without it, or it does not apply."""


def load() -> list[Mutant]:
    """Return the mutants of mutants.toml, which has them by area and behaviour."""
    areas = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text("utf-8"))
    return [Mutant(area, behaviour, **each) for area, of in areas.items() for behaviour, each in of.items()]


def copy(tree: Path) -> None:
    """Copy the files of the work tree that git knows or would add."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())


@contextmanager
def applied(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Make the change in a tree meanwhile. Raises NotMutated: the file does not have the text exactly once."""
    path = tree / mutant.file
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise NotMutated(f"{mutant.file} has {mutant.old!r} {text.count(mutant.old)} times")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")


def failing(tree: Path, tests: list[str], *, cloud: bool = False) -> str:
    """Return the first of the tests that fails in a tree, "" if none does. Raises NotMutated: they do not run.

    With `cloud`, those that start a local AWS are run, too.
    """
    # Without bytecode: a file that changes twice in a second has the same date, so Python would run what it compiled.
    # Without the plugins that no such test needs: to load them takes longer than most of the tests.
    own = dict.fromkeys(("PYTHONDONTWRITEBYTECODE", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"), "1")
    own["PYTHONPATH"] = f"{tree}:{tree / 'local'}"
    plugins = [f"-p{name}" for name in ("pytest_timeout", "xdist.plugin", "no:cacheprovider")]
    kinds = "not full" if cloud else "not full and not cloud"
    command = [sys.executable, "-m", "pytest", "-xq", "-m", kinds, *plugins, *tests]
    done = subprocess.run(command, cwd=tree, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    found = FAILED.search(done.stdout)
    if done.returncode != 1 or not found:
        raise NotMutated(f"the tests do not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1]


def wrong(mutants: list[Mutant], tree: Path) -> list[str]:
    """Return what is wrong of mutants, those first that are not caught; print each with the test that catches it.

    Raises NotMutated: a mutant says nothing about its tests.
    """
    for cloud in (False, True):
        tests = sorted({test for mutant in mutants if mutant.cloud == cloud for test in mutant.tests})
        if tests and (already := failing(tree, tests, cloud=cloud)):
            raise NotMutated(f"without a mutant, {already} fails")
    found, caught = [], 0
    for number, mutant in enumerate(mutants, 1):
        with applied(tree, mutant):
            test = failing(tree, mutant.tests, cloud=mutant.cloud)
        caught += bool(test)
        by = f"caught by {test.rpartition('::')[2]}" if test else f"SURVIVES: {mutant.survives or 'no reason is given'}"
        print(f"{number}/{len(mutants)} {mutant.area}: {mutant.behaviour}: {by}", flush=True)
        if bool(test) == bool(mutant.survives):
            found.append(f"{mutant.area}: {mutant.behaviour}: {by}")
    share = caught / len(mutants)
    print(f"{caught} of {len(mutants)} mutants are caught: {share:.1%}", flush=True)
    return [*found, *([f"{share:.1%} are caught, at least {LEAST:.0%} are wanted"] if share < LEAST else [])]


def main() -> int:
    """Run the mutants, or those alone whose area or behaviour has the argument's text."""
    text = " ".join(sys.argv[1:])
    mutants = [mutant for mutant in load() if text in f"{mutant.area}: {mutant.behaviour}"]
    with tempfile.TemporaryDirectory() as name:
        copy(Path(name))
        faults = wrong(mutants, Path(name))
    print("\n".join(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
