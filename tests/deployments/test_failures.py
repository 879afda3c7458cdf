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
    world.inject(*({"times": 1, **one, "name": one.get("name", "*").format(old=old)} for one in case.faults))
    traffic = Traffic(world.deployed)
    if case.asked:
        traffic.__enter__()
    try:
        execution = world.start(case.body())
        case.disturb(world, execution)
        run = world.ended(execution)
        sent = world.notification(execution)
        world.settled()
    finally:
        if case.asked:
            traffic.__exit__()
        struck = world.inject()
    print(run, sent, struck, traffic.failed, sep="\n")

    assert sent["outcome"] == case.outcome
    assert run.status == {"accepted": "SUCCEEDED", "rejected": "SUCCEEDED", "aborted": "ABORTED"}.get(
        case.outcome, "FAILED"
    )
    assert [word for word in case.cause if word not in sent["why"]] == []
    assert run.status != "FAILED" or (run.outcome == f"{sent['error']}: {sent['why'].strip()}")
    assert bool(struck) == bool(case.faults)
    after = world.live()
    assert (after == old) == (case.after == OLD)
    assert world.package(run) == case.package
    assert "owner" not in world.lease()
    assert world.processes() == {"jobs": 0, "servers": 1}
    assert predict.label_of(world.account, predict.golden_row(world.account)) == "B"
    assert [answer for answer in traffic.failed if answer.startswith("lost")] == []
    assert len(traffic.failed) <= case.share * len(traffic.answers)

    tried = ", ".join(
        f"{state} was retried {'once' if count == 1 else f'{count} times'}"
        for state, count in world.retried(execution).items()
    )
    how = f"{case.outcome}, at {world.failed_at(execution)}" if run.status == "FAILED" else case.outcome
    during = (
        ALWAYS if not traffic.failed else f"a share of the requests went wrong, of the canary's {CANARY:.0%} at most"
    )
    table.check(
        table.Row(
            name=case.name,
            run=f"{tried}: {how}" if tried else how,
            during=during if case.asked else "not asked",
            after=NEW if after != old else OLD,
            notification=f"**{sent['outcome']}**: {sent['why']}",
        )
    )


def test_the_table_has_a_row_for_each_fault_and_no_other() -> None:
    assert len(WHAT) >= 25
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.rows_of()] == list(WHAT.values())
