"""A change of the code that tests must notice: mutants.toml."""

from pathlib import Path

import pytest

from tests import mutants
from tests.conftest import ROOT

MUTANTS = mutants.load()


@pytest.mark.full
@pytest.mark.xdist_group("mutants")
@pytest.mark.timeout(3600)
def test_tests_catch_nearly_every_change_of_the_code_and_what_survives_has_a_reason(tmp_path: Path) -> None:
    mutants.copy(tmp_path)
    assert mutants.wrong(MUTANTS, tmp_path) == []


def test_every_mutant_changes_the_code_and_names_tests_that_exist() -> None:
    areas = {"quality gate", "comparison", "lease", "split", "bad rows", "drift", "API rows", "release", "signature"}
    areas |= {"settings", "lineage", "operation", "security", "explanation"}
    assert {mutant.area for mutant in MUTANTS} == areas
    for mutant in MUTANTS:
        text = (ROOT / mutant.file).read_text()
        assert (text.count(mutant.old), mutant.old != mutant.new) == (1, True), mutant
        for test in mutant.tests:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).exists(), test


CODE = "def limit(count, share):\n    return max(count, share)\n"
TEST = "from code_of_test import limit\n\ndef test_most(): assert limit(3, 2) == 3\n"


def tree(folder: Path, test: str = TEST) -> Path:
    """A tree of a file and its test."""
    folder.mkdir()
    (folder / "code_of_test.py").write_text(CODE)
    (folder / "test_code.py").write_text(test)
    return folder


def mutant(new: str, old: str = "max", survives: str = "") -> mutants.Mutant:
    return mutants.Mutant("limit", f"{old} is {new}", "code_of_test.py", old, new, ["test_code.py"], survives)


def test_a_change_that_no_test_notices_needs_a_reason_and_a_caught_one_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, same, why = tree(tmp_path / "tree"), "0 + max", "the sum is the same"
    found = mutants.wrong(
        [mutant("min"), mutant(same), mutant(same, survives=why), mutant("min", survives=why)], folder
    )
    assert capsys.readouterr().out.splitlines() == [
        "1/4 limit: max is min: caught by test_most",
        "2/4 limit: max is 0 + max: SURVIVES: no reason is given",
        "3/4 limit: max is 0 + max: SURVIVES: the sum is the same",
        "4/4 limit: max is min: caught by test_most",
        "2 of 4 mutants are caught: 50.0%",
    ]
    assert found == [
        "limit: max is 0 + max: SURVIVES: no reason is given",
        "limit: max is min: caught by test_most",
        "50.0% are caught, at least 95% are wanted",
    ]
    assert (folder / "code_of_test.py").read_text() == CODE


@pytest.mark.parametrize(
    ("test", "change", "message"),
    [
        (TEST.replace("== 3", "== 4"), mutant("min"), "without a mutant, test_code.py::test_most fails"),
        (TEST, mutant("min", "minimum"), "code_of_test.py has 'minimum' 0 times"),
        (TEST, mutant("(", "def limit("), "the tests do not run"),
        ("", mutant("min"), "the tests do not run"),
    ],
)
def test_a_mutant_that_says_nothing_of_its_tests_ends_the_run(
    tmp_path: Path, test: str, change: mutants.Mutant, message: str
) -> None:
    with pytest.raises(mutants.NotMutated, match=message):
        mutants.wrong([change], tree(tmp_path / "tree", test))
