"""What tests must notice: a change of the code (mutants.toml), and a role's policy without one of its statements."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops import retrain, runs
from tests import iam_report, mutants
from tests.conftest import ROOT, WDBC, Deployed, wait_for
from tests.deployments.world import World
from tests.lambdas.predict.signed import Consumer

HEADER, *ROWS = WDBC.read_text().splitlines()


@contextmanager
def without(iam: Any, role: str, policy: str, document: dict[str, Any], number: int) -> Iterator[None]:
    """The role's policy less one statement."""
    left = [statement for at, statement in enumerate(document["Statement"]) if at != number]
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps({**document, "Statement": left}))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def observed(live: Deployed, number: int) -> list[str]:
    """The visible faults of an upload, of posted rows, of two runs at once, of a rollback and of an aborted run."""
    functions = live.client("lambda")
    for each in functions.list_functions()["Functions"]:  # a new process, which remembers nothing
        functions.update_function_configuration(FunctionName=each["FunctionName"], MemorySize=600 + number)
    before = live.executions()
    live.put("data.csv", "\n".join([HEADER, *ROWS[number % 7 :]]).encode())
    try:
        arn = live.started(before, seconds=20)
    except AssertionError:
        return ["an upload starts nothing"]
    found = ended(live, arn)
    if found:
        return found
    consumer = Consumer(live)
    row = list(live.account.settings.endpoint.golden[0].row)
    answer = consumer.post("/predictions", json.dumps({"instances": [row]})).json()
    if answer.get("model", {}).get("name") is None:
        return [f"no prediction of a named model: {answer}"]
    world = World(live, queue="")
    both = [world.by_hand(), world.by_hand()]
    return [
        *(wrong for arn in both for wrong in ended(live, arn)),
        *ended(live, retrain.start_rollback(live.account)),
        *aborted(world),
    ]


def aborted(world: World) -> list[str]:
    """The same of a run that is aborted: EventBridge's event frees its lease."""
    run = world.by_hand()
    wait_for(lambda: world.lease().get("owner") == {"S": run})
    world.stop(run)
    try:
        wait_for(lambda: world.lease().get("owner") != {"S": run}, seconds=30)
    except AssertionError:
        return ["an aborted run keeps the lease"]
    return []


def rolled_back(live: Deployed) -> list[str]:
    """The same of a model that answers 500 once it is live: the run names the alarm that rolled it back."""
    world = World(live, queue="")
    world.inject({"on": "Endpoint", "fault": "Answers500"})
    arn, consumer = world.by_hand(), Consumer(live)
    row = json.dumps({"instances": [list(live.account.settings.endpoint.golden[0].row)]})
    while (run := runs.describe(live.account, arn)).running:
        consumer.post("/predictions", row)
    world.inject()
    return [] if 'alarms in ALARM: ["' in str(run.outcome) else [f"no alarm is named: {run.outcome}"]


def ended(live: Deployed, arn: str) -> list[str]:
    run = live.ended(arn, seconds=100)
    if (run.status, run.outcome) != ("SUCCEEDED", "accepted"):
        return [f"{run.status}: {run.outcome}"]
    return run.warnings


@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(3000)
def test_every_used_statement_is_needed(live: Deployed) -> None:
    assert [observed(live, number) for number in (-1, -2)] == [[], []]  # so many runs that old models are deleted
    assert rolled_back(live) == []
    iam, survived = live.client("iam"), []
    lines = [line for file in (ROOT / "build" / "iam").glob("*.jsonl") for line in file.read_text().splitlines()]
    decisions = list(map(json.loads, lines))
    number = 0
    for role in sorted(iam_report.policies(iam, "breast-cancer")):
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            for at, statement in enumerate(document["Statement"]):
                number += 1
                grants = iam_report.grants({role: [statement]})
                if not any(iam_report.allows(grant, each) for grant in grants for each in decisions):
                    continue  # reviewed, by `make iam`
                with without(iam, role, policy, document, at):
                    wrong = observed(live, number) or rolled_back(live)
                print(iam_report.logical(role), statement["Action"], wrong[:1], flush=True)
                if not wrong:
                    survived.append((iam_report.logical(role), statement["Action"]))
    assert survived == []


MUTANTS = mutants.load()


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_tests_catch_nearly_every_change_of_the_code_and_what_survives_has_a_reason(tmp_path: Path) -> None:
    mutants.copy(tmp_path)
    assert mutants.wrong(MUTANTS, tmp_path) == []


def test_every_mutant_changes_the_code_and_names_tests_that_exist() -> None:
    areas = {"quality gate", "comparison", "lease", "split", "bad rows", "drift", "API rows", "release", "signature"}
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
