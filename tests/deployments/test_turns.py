"""More than one run, more than one event, and no model before: each ends as docs/failures.md says."""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import wait_for
from tests.deployments.cases import ALWAYS, NEW
from tests.deployments.table import Row, check
from tests.deployments.world import ROWS, Traffic, World, data

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]
FOREVER = {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 60_000, "End": True}}}


@pytest.fixture
def holder(guarded: World) -> Iterator[str]:
    """An execution that owns the lease and does nothing, of another machine that the lease's Lambda may describe."""
    states, iam = guarded.account.states, guarded.deployed.client("iam")
    role = states.describe_state_machine(stateMachineArn=guarded.account.outputs["StateMachine"])["roleArn"]
    holders = "arn:aws:states:*:*:execution:holder:*"
    look = {"Effect": "Allow", "Action": "states:DescribeExecution", "Resource": holders}
    functions = guarded.deployed.client("lambda").list_functions()["Functions"]
    roles = {each["FunctionName"].partition("Acquire")[0]: each["Role"] for each in functions}
    acquire = roles["guarded-ExecutionLease"]
    policy = {"RoleName": acquire.rpartition("/")[2], "PolicyName": "holder"}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [look]}))
    machine = states.create_state_machine(name="holder", definition=json.dumps(FOREVER), roleArn=role)
    execution = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    guarded.give_lease(execution)
    yield execution
    states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
    iam.delete_role_policy(**policy)


def test_newer_data_supersedes_a_run_that_waits_and_a_dead_owner_is_replaced(guarded: World, holder: str) -> None:
    old = guarded.live()
    with Traffic(guarded.deployed) as traffic:
        older = guarded.start(data(ROWS[:300]))
        wait_for(lambda: guarded.waits_for_lease(older))
        before = guarded.deployed.executions()
        guarded.add("more.csv", data(ROWS[300:]))
        newer = guarded.deployed.started(before)
        superseded = guarded.ended(older)
        assert guarded.live() == old
        wait_for(lambda: guarded.waits_for_lease(newer))
        guarded.stop(holder)
        accepted = guarded.ended(newer)
    assert (superseded.outcome, accepted.outcome) == ("superseded", "accepted")
    assert guarded.rows(accepted) == len(ROWS)
    assert accepted.name in superseded.why
    assert traffic.failed == []
    guarded.at_rest()
    first, second = guarded.notification(older), guarded.notification(newer)
    run = "the older one superseded while it waited; the newer one took the lease over: accepted"
    told = f"**{first['outcome']}**: {first['why']}; **{second['outcome']}**"
    check(Row("superseded", run, ALWAYS, NEW, told))


@pytest.mark.rotated
def test_a_lease_of_nobody_is_taken_over(guarded: World) -> None:
    guarded.give_lease("arn:aws:states:us-east-1:123456789012:execution:guarded-retrain:long-ago")
    run = guarded.run()
    assert run.outcome == "accepted"
    guarded.at_rest()
    told = f"**{guarded.notification(run.arn)['outcome']}**"
    check(Row("owner-unknown", "took the lease over: accepted", "not asked", NEW, told))


def quiet(world: World) -> bool:
    """Whether the trigger's queue is empty and no run is under way."""
    return not world.deployed.waiting() and not any(run.running for run in world.newest_first())


def test_ten_uploads_in_a_row_are_in_the_last_model(guarded: World) -> None:
    wait_for(lambda: quiet(guarded))
    guarded.deployed.clear()
    before = guarded.deployed.executions()
    with Traffic(guarded.deployed) as traffic:
        for number in range(10):
            guarded.add(f"{number}.csv", data(ROWS[number::10]))
        guarded.deployed.started(before)
        wait_for(lambda: quiet(guarded))
    new = [run for run in guarded.newest_first() if run.arn not in before]
    assert len(new) in {1, 2}
    assert new[0].outcome == "accepted"
    assert guarded.live_run() == new[0].arn
    assert guarded.rows(new[0]) == len(ROWS)
    assert traffic.failed == []
    guarded.at_rest()
    told = f"**{guarded.notification(new[0].arn)['outcome']}**"
    check(Row("ten-uploads", "one or two, the last with all data: accepted", ALWAYS, NEW, told))


@pytest.mark.rotated
def test_an_event_that_comes_again_starts_nothing(guarded: World) -> None:
    wait_for(lambda: quiet(guarded))
    sqs, queue = guarded.deployed.client("sqs"), guarded.account.outputs["TriggerQueue"]
    event = json.dumps({"reason": "upload", "key": "raw/again.csv"})
    before = guarded.deployed.executions()
    with Traffic(guarded.deployed) as traffic:
        guarded.deployed.put("again.csv", data())
        for _ in range(2):
            sqs.send_message(QueueUrl=queue, MessageBody=event)
        guarded.deployed.started(before)
        wait_for(lambda: quiet(guarded))
        sqs.send_message(QueueUrl=queue, MessageBody=event)
        wait_for(lambda: quiet(guarded))
    (execution,) = guarded.deployed.executions() - before
    assert guarded.ended(execution).outcome == "accepted"
    assert traffic.failed == []
    guarded.at_rest()
    notification = guarded.notification(execution)
    check(Row("duplicates", "one: accepted", ALWAYS, NEW, f"**{notification['outcome']}**, once"))


@pytest.fixture
def nothing_live(guarded: World) -> Iterator[World]:
    """The pipeline without its endpoint, and with one again after the test."""
    guarded.account.sagemaker.delete_endpoint(EndpointName=guarded.endpoint)
    wait_for(lambda: not guarded.live())
    yield guarded
    guarded.inject()
    again = guarded.run()
    assert again.outcome == "accepted"
    guarded.at_rest()


@pytest.mark.rotated
@pytest.mark.parametrize(
    ("name", "kind", "why", "answers"),
    [
        ("first-never-ready", "NeverReady", ("EndpointFailed", "ping health check"), " (503)"),
        ("first-dies", "DiesAtRequest", ("SmokeTestUnanswered", "The endpoint was deleted"), ", or is busy (502, 503)"),
    ],
)
def test_a_first_model_that_fails_leaves_nothing_in_the_way_of_the_next(
    nothing_live: World, name: str, kind: str, why: tuple[str, str], answers: str
) -> None:
    world = nothing_live
    world.inject({"on": "Endpoint", "fault": kind})
    with Traffic(world.deployed) as traffic:
        run = world.run()
    notification = world.notification(run.arn)
    assert (notification["outcome"], notification["error"]) == ("failed", why[0])
    assert why[1] in notification["why"]
    assert set(traffic.answers) <= {answer for answer in traffic.answers if answer.startswith(("503", "502"))}
    wait_for(lambda: not world.live())
    assert world.package(run.arn) == "Rejected"
    assert "owner" not in world.lease()
    wait_for(lambda: world.processes() == {"jobs": 0, "servers": 0})
    where, told = f"failed, at {world.failed_at(run.arn)}", f"**failed**: {notification['why']}"
    check(Row(name, where, f"said that nothing is live{answers}", "nothing; the next run goes live", told))
