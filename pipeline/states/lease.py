"""Lease: one run at a time may touch the endpoint.

The lease is an item in DynamoDB, taken by a conditional write and owned by an execution. A run that finds it taken
looks at the owner: a run that is no longer running, or that nobody knows any more, has lost it. So the lease expires
with its owner, whose own limit is the state machine's TimeoutSeconds. An approval's task token lies in the same item.
"""

from typing import Any

from pipeline import names
from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, State, Task, Wait, retried
from pipeline.states.common import Building

EVENTS_A_WAIT, MOST_EVENTS = 21, 25_000
"""History events of one look at a lease that is taken, and what an execution may have (Step Functions quotas)."""
SHORTEST_WAIT_SECONDS = 30
TABLE = {"TableName": "${LeaseTable}", "Key": {"endpoint": {"S": "${EndpointName}"}}}
OWNER = {"#owner": "owner"}
LATEST = "$.lease.Attributes.latest.S"
TAKEN = "DynamoDB.ConditionalCheckFailedException"
UNKNOWN = "Sfn.ExecutionDoesNotExistException"
FREE = "REMOVE #owner, approval, package"


def acquire(build: Building, *, superseded: State, deadline_seconds: int) -> list[State]:
    """AcquireLease and NewestData: the run goes on as the owner, or ends as superseded by a run on newer data.

    A run may wait as long as it may live, so the more that is, the fewer looks: its history must not overflow.
    """
    take = _update(
        build,
        "AcquireLease",
        "SET #owner = :me",
        "attribute_not_exists(#owner) OR #owner = :me",
        {":me": {"S": names.EXECUTION_ARN}},
    )
    seconds = max(SHORTEST_WAIT_SECONDS, -(-deadline_seconds * EVENTS_A_WAIT // (MOST_EVENTS - 1_000)))
    wait = Wait("WaitForLease", seconds=seconds)
    wait.next(take)
    read = Task(
        "ReadLease",
        resource="arn:aws:states:::dynamodb:getItem",
        parameters={**TABLE, "ConsistentRead": True},
        timeout_seconds=60,
        result_path="$.lease",
        result_selector={"Attributes": Intrinsic("$.Item")},
    )
    build.guard(read)
    take.catches.insert(0, Catch(error_equals=[TAKEN], result_path="$.lease", next_step=read))

    owner = Task(
        "DescribeOwner",
        resource="arn:aws:states:::aws-sdk:sfn:describeExecution",
        parameters={"ExecutionArn": Intrinsic("$.lease.Attributes.owner.S")},
        timeout_seconds=60,
        result_path="$.owner",
        result_selector={"status": Intrinsic("$.Status")},
    )
    build.guard(owner)
    held = Choice("LeaseHeld")
    held.add_choice(_newer(), superseded)
    held.add_choice(ChoiceRule.IsPresent("$.lease.Attributes.owner.S", True), owner)
    held.default_choice(take)
    read.next(held)

    dead = {":dead": {"S": Intrinsic("$.lease.Attributes.owner.S")}}
    evict = _update(build, "EvictOwner", FREE, "#owner = :dead", dead)
    owner.catches.insert(0, Catch(error_equals=[UNKNOWN], result_path="$.owner", next_step=evict))
    evict.catches.insert(0, Catch(error_equals=[TAKEN], result_path="$.lease", next_step=wait))
    evict.next(take)
    alive = Choice("OwnerAlive")
    alive.add_choice(ChoiceRule.StringEquals("$.owner.status", "RUNNING"), wait)
    alive.default_choice(evict)
    owner.next(alive)

    newest = Choice("NewestData")
    newest.add_choice(_newer(), superseded)
    return [take, newest]


def _newer() -> Any:
    """Another run is the newest wanted one. A run asked for by hand, or a release, no newer data supersedes."""
    from_data = ChoiceRule.Not(ChoiceRule.StringEquals("$.request.data.fingerprint", "none"))
    other = ChoiceRule.Not(ChoiceRule.StringEqualsPath(LATEST, "$.run.name"))
    return ChoiceRule.And([from_data, ChoiceRule.IsPresent(LATEST, True), other])


def free(state_id: str, then: State, owner: Intrinsic = names.EXECUTION_ARN) -> Task:
    """Frees the lease if `owner`, this run, has it, and goes on to `then` whatever comes of it."""
    step = Task(
        state_id,
        resource="arn:aws:states:::dynamodb:updateItem",
        parameters=_request(FREE, "#owner = :owner", {":owner": {"S": owner}}),
        timeout_seconds=60,
        result_path=None,
    )
    retried(step)
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
