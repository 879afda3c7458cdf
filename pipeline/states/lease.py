"""Lease: one run at a time may touch the endpoint.

The lease is an item in DynamoDB, taken by a conditional write and owned by an execution. A run that finds it taken
looks at the owner: a run that is no longer running (aborted, timed out) has lost it. The lease expires with its
owner, whose own limit is the state machine's TimeoutSeconds.
"""

from typing import Any

from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, State, Task, Wait
from pipeline.states.common import Building

WAIT_SECONDS = 30
TABLE = {"TableName": "${LeaseTable}", "Key": {"endpoint": {"S": "${EndpointName}"}}}
OWNER = {"#owner": "owner"}
ME = {"S": Intrinsic("$$.Execution.Id")}
TAKEN = "DynamoDB.ConditionalCheckFailedException"


def acquire(build: Building, *, superseded: State) -> list[State]:
    """AcquireLease and NewestData: the run goes on as the owner, or ends as superseded by a run on newer data."""
    take = _update(
        build, "AcquireLease", "SET #owner = :me", "attribute_not_exists(#owner) OR #owner = :me", {":me": ME}
    )
    wait = Wait("WaitForLease", seconds=WAIT_SECONDS)
    wait.next(take)
    read = Task(
        "ReadLease",
        resource="arn:aws:states:::dynamodb:getItem",
        parameters={**TABLE, "ConsistentRead": True},
        timeout_seconds=60,
        result_path="$.lease",
    )
    build.guard(read)
    take.catches.insert(0, Catch(error_equals=[TAKEN], result_path="$.lease", next_step=read))

    owner = Task(
        "DescribeOwner",
        resource="arn:aws:states:::aws-sdk:sfn:describeExecution",
        parameters={"ExecutionArn": Intrinsic("$.lease.Item.owner.S")},
        timeout_seconds=60,
        result_path="$.owner",
        result_selector={"status": Intrinsic("$.Status")},
    )
    build.guard(owner)
    held = Choice("LeaseHeld")
    held.add_choice(ChoiceRule.IsPresent("$.lease.Item.owner.S", True), owner)
    held.default_choice(take)
    read.next(held)

    evict = _update(
        build, "EvictOwner", "REMOVE #owner", "#owner = :dead", {":dead": {"S": Intrinsic("$.lease.Item.owner.S")}}
    )
    evict.catches.insert(0, Catch(error_equals=[TAKEN], result_path="$.lease", next_step=wait))
    evict.next(take)
    alive = Choice("OwnerAlive")
    alive.add_choice(ChoiceRule.StringEquals("$.owner.status", "RUNNING"), wait)
    alive.default_choice(evict)
    owner.next(alive)

    latest = "$.lease.Attributes.latest.S"
    newest = Choice("NewestData")
    other = ChoiceRule.Not(ChoiceRule.StringEqualsPath(latest, "$.run.name"))
    # A run that a person started by hand, or a release, was asked for as it is: no newer data supersedes it.
    from_data = ChoiceRule.Not(ChoiceRule.StringEquals("$.request.data.fingerprint", "none"))
    newest.add_choice(ChoiceRule.And([from_data, ChoiceRule.IsPresent(latest, True), other]), superseded)
    return [take, newest]


def free(state_id: str, then: State) -> Task:
    """Frees the lease if this run owns it, and goes on to `then` whatever comes of it."""
    step = Task(
        state_id,
        resource="arn:aws:states:::dynamodb:updateItem",
        parameters=_request("REMOVE #owner", "#owner = :me", {":me": ME}),
        timeout_seconds=60,
        result_path=None,
    )
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.lease", next_step=then))
    step.next(then)
    return step


def _update(build: Building, state_id: str, update: str, condition: str, values: dict[str, Any]) -> Task:
    step = Task(
        state_id,
        resource="arn:aws:states:::dynamodb:updateItem",
        parameters=_request(update, condition, values),
        timeout_seconds=60,
        result_path="$.lease",
    )
    build.guard(step)
    return step


def _request(update: str, condition: str, values: dict[str, Any]) -> dict[str, Any]:
    return {
        **TABLE,
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": OWNER,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
    }
