"""Faults, each in a run of its own on the deployed canary pipeline; docs/failures.md is the table of what is seen."""

import pytest

from ops import predict
from tests.deployments import table
from tests.deployments.cases import ALWAYS, CASES, NEW, OLD, WHAT, Case
from tests.deployments.world import CANARY, Traffic, World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]


def marked(case: Case) -> object:
    return pytest.param(case, id=case.name, marks=[] if case.quick else [pytest.mark.full])


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_a_fault_is_survived(guarded: World, case: Case) -> None:
    world = guarded
    old = world.live()
    world.order(*({**one, "name": one["name"].format(old=old)} for one in case.faults))
    traffic = Traffic(world.deployed)
    if case.asked:
        traffic.__enter__()
    try:
        execution = world.start(case.body())
        if case.during is not None:
            case.during(world, execution)
        run = world.ended(execution)
        told = world.told(execution)
        world.settled()
    finally:
        if case.asked:
            traffic.__exit__()
        struck = world.order()
    print(run, told, struck, traffic.failed, sep="\n")

    assert told["outcome"] == case.outcome
    assert run.status == {"accepted": "SUCCEEDED", "rejected": "SUCCEEDED", "aborted": "ABORTED"}.get(
        case.outcome, "FAILED"
    )
    assert [word for word in case.cause if word not in told["why"]] == []
    assert run.status != "FAILED" or (run.outcome == f"{told['error']}: {told['why'].strip()}")
    assert bool(struck) == bool(case.faults)
    after = world.live()
    assert (after == old) == (case.after == OLD)
    assert world.package(run) == case.package
    assert "owner" not in world.lease()
    assert world.processes() == {"jobs": 0, "servers": 1}
    assert predict.predict(world.account, predict.golden_row(world.account)) == "B"
    assert [answer for answer in traffic.failed if answer.startswith("lost")] == []
    assert len(traffic.failed) <= case.share * len(traffic.answers)

    tried = ", ".join(f"{state} tried again {count} times" for state, count in world.retried(execution).items())
    last = [state for state in world.entered(execution) if state not in AFTERWARDS][-1]
    how = f"{case.outcome}, at {last}" if run.status == "FAILED" else case.outcome
    during = (
        ALWAYS if not traffic.failed else f"a share of the requests went wrong, of the canary's {CANARY:.0%} at most"
    )
    table.check(
        table.Row(
            name=case.name,
            run=f"{tried}: {how}" if tried else how,
            during=during if case.asked else "not asked",
            after=NEW if after != old else OLD,
            told=f"**{told['outcome']}**: {told['why']}",
        )
    )


AFTERWARDS = {
    "FreeLeaseOfFailed", "CauseIsDocument", "OpenCause", "ReadCause", "TellFailure", "Failed", "DisownPackage", "OwnPackage",
    "TakenBack", "PutBack", "SmokeIsDocument", "OpenSmoke", "ReadSmoke",
}  # fmt: skip
"""States of a run that is over."""


def test_the_table_has_a_row_for_each_fault_and_no_other() -> None:
    assert len(WHAT) >= 25
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.rows_of()] == list(WHAT.values())
