"""Faults, each in a run of its own on the deployed canary pipeline; docs/failures.md is the table of what is seen."""

from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest

from ops import predict, retrain
from tests.deployments import table
from tests.deployments.cases import ALWAYS, CASES, NEW, OLD, WHAT, Case
from tests.deployments.world import CANARY, Traffic, World, edited

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]


def marked(case: Case) -> object:
    return pytest.param(case, id=case.name, marks=[] if case.quick else [pytest.mark.rotated])


# The quick ones first: none is about DescribeEndpoint, which the check of the first run's model still calls.
@pytest.mark.parametrize("case", [marked(case) for case in sorted(CASES, key=lambda case: not case.quick)])
def test_a_fault_is_survived(guarded: World, case: Case) -> None:
    world = guarded
    old = world.live()
    world.inject(*({"times": 1, **one, "name": one.get("name", "*").format(old=old)} for one in case.faults))
    # The canary gets a tenth of it, for half a second.
    traffic = Traffic(world.deployed, case.consumers, pause=0.03 if case.consumers == 1 else 1.0)
    try:
        with edited(world, case.change, "DeployMachine"), traffic if case.asked else nullcontext():
            execution = world.start(case.body())
            case.disturb(world, execution)
            run = world.ended(execution)
            sent = world.notification(execution)
            world.settled()
    finally:
        faults = world.inject()
    print(run, sent, faults, traffic.failed, sep="\n")

    assert sent["outcome"] == case.outcome
    ends = {"accepted": "SUCCEEDED", "rejected": "SUCCEEDED", "aborted": "ABORTED"}
    assert run.status == ends.get(case.outcome, "FAILED")
    assert [word for word in case.cause if word not in sent["why"]] == []
    assert run.status != "FAILED" or (run.outcome == f"{sent['error']}: {sent['why'].strip()}")
    assert faults["faults"] == []
    assert Counter((each["on"], each["fault"]) for each in faults["struck"]) == case.strikes
    after = world.live()
    assert (after == old) == (case.after == OLD)
    assert world.package(execution) == case.package
    later = asked_later(world, execution, case) if case.later else None
    if case.later == "failed":
        assert world.ended(retrain.start_rollback(world.account)).outcome == "accepted"
    world.at_rest()
    assert predict.label_of(world.account, predict.example(world.account)) == "B"
    assert [answer for answer in traffic.failed if answer.startswith("lost")] == []
    assert len(traffic.failed) <= case.share * len(traffic.answers)
    switch = world.switch(execution)
    assert not (case.asked and switch) or len(traffic.between(*switch)) >= case.least

    times = {state: "once" if count == 1 else f"{count} times" for state, count in world.retried(execution).items()}
    tried = ", ".join(f"{state} was retried {count}" for state, count in times.items())
    how = f"{case.outcome}, at {world.failed_at(execution)}" if run.status == "FAILED" else case.outcome
    wrong = f"a share of the requests went wrong, of the canary's {CANARY:.0%} at most"
    wrong += ", then all until the rollback" if case.share == 1 else ""
    during = (wrong if traffic.failed else ALWAYS) if case.asked else "not asked"
    told = f"**{sent['outcome']}**: {sent['why']}"
    told += f"; then **{later['outcome']}**: {later['why']}; next: {later['next']}" if later else ""
    table.check(table.Row(case.name, f"{tried}: {how}" if tried else how, during, NEW if after != old else OLD, told))


def asked_later(world: World, execution: str, case: Case) -> dict[str, Any]:
    """The notification of the smoke test that came after the end of the deployment, once for all events."""
    found = world.notification(execution, "Live model checked")
    assert found["outcome"] == case.later
    assert found["model"] == world.live()
    wrong = "golden row 1: expected B, got M; golden row 2: expected M, got B"
    assert (wrong in found["why"], found["next"] == "ops rollback") == (case.later == "failed",) * 2
    assert world.live_was_asked()
    return found


def test_the_table_has_a_row_for_each_fault_and_no_other() -> None:
    assert len(WHAT) >= 25
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.rows_of()] == list(WHAT.values())
