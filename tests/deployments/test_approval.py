"""Models that a person must let through, of data that is complete only when its marker says so."""

import json
from typing import Any

import pytest

from ops import predict
from tests.conftest import wait_for
from tests.deployments.cases import ALWAYS, OLD
from tests.deployments.table import Row, check
from tests.deployments.world import Traffic, World, data, edited

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]


def typed(world: World, command: str, *, check: bool = True) -> str:
    done = world.deployed.command(".venv/bin/python", "-m", "ops", command, check=check)
    return done.stdout + done.stderr


def waiting(world: World) -> str:
    """Uploads data, then the marker; the execution that this starts, once it waits for a person."""
    before = world.deployed.executions()
    world.deployed.put("wdbc.csv", data())
    functions = world.deployed.client("lambda")
    asked = functions.invoke(FunctionName=world.account.outputs["TriggerFunction"], Payload=b'{"reason": "manual"}')
    assert json.load(asked["Payload"])["result"] == "waiting"
    assert world.deployed.executions() == before
    world.add("_SUCCESS", b"")
    execution = world.deployed.started(before)
    wait_for(lambda: world.lease().get("approval"))
    return execution


@pytest.fixture(scope="session")
def approved(asking: World) -> World:
    """The pipeline after its first approved run."""
    execution = waiting(asking)
    assert asking.live() == ""
    message = asking.notification(execution, "Run waits for approval")
    assert {key: message[key] for key in ("outcome", "next", "execution", "why")} == {
        "outcome": "waiting for approval",
        "next": "ops approve, or ops reject",
        "execution": execution,
        "why": "passes every threshold of the quality gate; there is no champion",
    }
    assert asking.package(execution) == "PendingManualApproval"
    assert typed(asking, "approve") == f"approved {message['package']}\n"
    run = asking.ended(execution)
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted")
    assert asking.package(execution) == "Approved"
    assert predict.label_of(asking.account, predict.example(asking.account)) == "B"
    return asking


def at_rest(world: World) -> None:
    world.at_rest()
    assert typed(world, "approve", check=False).startswith("error: no run waits for an approval")


@pytest.mark.rotated
def test_what_a_person_turns_down_never_goes_live(approved: World) -> None:
    old = approved.live()
    with Traffic(approved.deployed) as traffic:
        execution = waiting(approved)
        typed(approved, "reject")
        run = approved.ended(execution)
    notification = approved.notification(execution)
    assert (run.outcome, notification["outcome"]) == ("rejected", "rejected")
    assert approved.package(execution) == "Rejected"
    assert approved.live() == old
    assert traffic.failed == []
    at_rest(approved)
    check(Row("approval-refused", "rejected", ALWAYS, OLD, f"**{notification['outcome']}**: {notification['why']}"))


@pytest.mark.rotated
def test_without_an_answer_the_run_gives_up_and_its_package_cannot_be_released(approved: World) -> None:
    old = approved.live()

    def hurry(definition: dict[str, Any]) -> None:
        assert definition["States"]["WaitForApproval"]["TimeoutSeconds"] == 3600
        definition["States"]["WaitForApproval"]["TimeoutSeconds"] = 1

    with edited(approved, hurry), Traffic(approved.deployed) as traffic:
        execution = waiting(approved)
        approved.ended(execution)
    notification = approved.notification(execution)
    assert (notification["outcome"], notification["error"]) == ("failed", "ApprovalDeadline")
    assert approved.package(execution) == "PendingManualApproval"
    assert (approved.live(), traffic.failed) == (old, [])
    at_rest(approved)
    check(Row("approval-deadline", "failed, at WaitForApproval", ALWAYS, OLD, f"**failed**: {notification['why']}"))

    request = json.dumps({"reason": "manual", "package": notification["package"]})
    with Traffic(approved.deployed) as traffic:
        machine = approved.account.outputs["DeployMachine"]
        release = approved.account.states.start_execution(stateMachineArn=machine, input=request)["executionArn"]
        approved.ended(release)
    notification = approved.notification(release)
    assert (notification["outcome"], notification["error"]) == ("failed", "PackageNotApproved")
    assert (approved.live(), traffic.failed) == (old, [])
    at_rest(approved)
    check(Row("package-pending", "failed, at PackageNotApproved", ALWAYS, OLD, f"**failed**: {notification['why']}"))
