"""What only the full tests run has its turn in `make test`."""

import os
import subprocess
import sys

from tests import rotation
from tests.conftest import ROOT
from tests.deployments.cases import CASES


def test_a_turn_always_has_the_same_tests_and_each_test_has_its_turn() -> None:
    names = [str(number) for number in range(40)]
    turns = [rotation.chosen(names, f"commit {number}") for number in range(200)]
    assert turns == [rotation.chosen(reversed(names), f"commit {number}") for number in range(200)]
    assert {len(turn) for turn in turns} == {rotation.AT_ONCE}
    assert set().union(*turns) == set(names)


def collected(turn: str) -> list[str]:
    """The cases of the fault table that a short test run has in this turn."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-pno:cacheprovider", "-mnot full"]
    environment = {**os.environ, "ROTATION": turn, "PYTEST_ADDOPTS": ""}
    test = "tests/deployments/test_failures.py::test_a_fault_is_survived"
    done = subprocess.run([*command, test], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return [line.partition("[")[2].partition("]")[0] for line in done.stdout.splitlines() if "[" in line]


def test_a_short_run_has_the_quick_cases_and_those_whose_turn_it_is() -> None:
    quick = [case.name for case in CASES if case.quick]
    runs = [collected(turn) for turn in ("a commit", "the next")]
    others = [sorted(set(run) - set(quick)) for run in runs]
    assert [len(run) for run in runs] == [len(quick) + rotation.AT_ONCE] * 2
    assert [len(names) for names in others] == [rotation.AT_ONCE] * 2
    assert others[0] != others[1]
