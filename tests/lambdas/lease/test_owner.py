"""The lease's conditions, which DynamoDB evaluates. The races and the whole runs are in test_lease.py."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lambdas.finish.finish import Finish
from lambdas.lease.lease import Lease, LeaseHeld, Superseded, acquire

NOW, HOUR = 1_800_000_000, 3_600
NO_SUCH_EXECUTION = type("ExecutionDoesNotExist", (Exception,), {})
TABLE = {
    "KeySchema": [{"AttributeName": "endpoint", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "endpoint", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class States:
    """Executions by status."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=NO_SUCH_EXECUTION)

    def __init__(self, **statuses: str) -> None:
        self.statuses = statuses

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803
        if executionArn not in self.statuses:
            raise NO_SUCH_EXECUTION
        return {"status": self.statuses[executionArn]}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # of a local AWS that other tests of this process use
    with mock_aws():
        client = boto3.client(
            "dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        client.create_table(TableName="leases", **TABLE)
        yield client


def put(dynamodb: Any, **members: str) -> None:
    """The lease's item with these members."""
    item = {name: {"N" if name == "expires" else "S": value} for name, value in members.items()}
    dynamodb.put_item(TableName="leases", Item={"endpoint": {"S": "shop"}, **item})


def item(dynamodb: Any) -> dict[str, str]:
    found = dynamodb.get_item(TableName="leases", Key={"endpoint": {"S": "shop"}})["Item"]
    return {name: next(iter(value.values())) for name, value in found.items() if name != "endpoint"}


def lease(dynamodb: Any, **statuses: str) -> Lease:
    return Lease("leases", "shop", dynamodb, States(**statuses))


TOMORROW = str(NOW + 24 * HOUR)


def test_a_lease_whose_owner_runs_is_not_taken_before_it_expires(dynamodb: Any) -> None:
    held = {"owner": "first", "expires": str(NOW), "approval": "token", "package": "arn"}
    put(dynamodb, **held)
    with pytest.raises(LeaseHeld):
        acquire(lease(dynamodb, first="RUNNING"), "second", {}, now=NOW, seconds=HOUR)
    assert item(dynamodb) == held
    acquire(lease(dynamodb, first="RUNNING"), "second", {}, now=NOW + 1, seconds=HOUR)
    assert item(dynamodb) == {"owner": "second", "expires": str(NOW + 1 + HOUR)}


@pytest.mark.parametrize("statuses", [{}, {"first": "FAILED"}, {"first": "SUCCEEDED"}, {"first": "ABORTED"}])
def test_a_lease_whose_owner_has_ended_is_taken_at_once(dynamodb: Any, statuses: dict[str, str]) -> None:
    put(dynamodb, owner="first", expires=TOMORROW)
    acquire(lease(dynamodb, **statuses), "second", {}, now=NOW, seconds=HOUR)
    assert item(dynamodb) == {"owner": "second", "expires": str(NOW + HOUR)}


@pytest.mark.drill(
    "race", "two executions find a dead owner of the lease", "the later one does not evict the earlier one"
)
def test_of_two_that_find_a_dead_owner_the_later_does_not_evict_the_earlier(dynamodb: Any) -> None:
    put(dynamodb, owner="dead", expires=TOMORROW)
    later = lease(dynamodb)

    def meanwhile(executionArn: str) -> dict[str, str]:  # noqa: N803
        put(dynamodb, owner="earlier", expires=TOMORROW)
        return {"status": "FAILED"}

    later.states.describe_execution = meanwhile
    with pytest.raises(LeaseHeld):
        acquire(later, "later", {}, now=NOW, seconds=HOUR)
    assert item(dynamodb)["owner"] == "earlier"


def test_a_deployment_takes_no_lease_and_needs_that_of_its_parent(dynamodb: Any) -> None:
    put(dynamodb, owner="run", expires=TOMORROW)
    both = lease(dynamodb, run="RUNNING", other="RUNNING")
    acquire(both, "deployment", {"parent": "run"}, now=NOW, seconds=HOUR)
    with pytest.raises(LeaseHeld, match="other started this deployment and does not own the lease"):
        acquire(both, "deployment", {"parent": "other"}, now=NOW, seconds=HOUR)
    assert item(dynamodb) == {"owner": "run", "expires": TOMORROW}


def test_a_run_on_data_is_superseded_by_a_newer_one_even_if_it_is_wanted_while_the_lease_is_taken(
    dynamodb: Any,
) -> None:
    data = {"data": {"fingerprint": "f" * 64}}
    put(dynamodb, latest="newer")
    for request in ({}, {"data": {"fingerprint": "none"}}):
        acquire(lease(dynamodb), "machine:older", request, now=NOW, seconds=HOUR)
    with pytest.raises(Superseded, match="run newer is on newer data or settings"):
        acquire(lease(dynamodb), "machine:older", data, now=NOW, seconds=HOUR)
    put(dynamodb, owner="first", expires=TOMORROW, latest="newer")
    with pytest.raises(Superseded):  # at once, while it waits
        acquire(lease(dynamodb, first="RUNNING"), "machine:older", data, now=NOW, seconds=HOUR)
    acquire(lease(dynamodb), "machine:newer", data, now=NOW + 2 * HOUR, seconds=HOUR)
    put(dynamodb, owner="dead", expires=TOMORROW, latest="older")
    late = lease(dynamodb)

    def meanwhile(executionArn: str) -> dict[str, str]:  # noqa: N803
        put(dynamodb, owner="dead", expires=TOMORROW, latest="newer")
        return {"status": "FAILED"}

    late.states.describe_execution = meanwhile
    with pytest.raises(Superseded):
        acquire(late, "machine:older", data, now=NOW, seconds=HOUR)


def test_an_execution_frees_its_own_lease_alone(dynamodb: Any) -> None:
    nothing: Any = None
    finish = Finish("shop", "bucket", "leases", "shop", "topic", dynamodb, nothing, nothing)
    held = {"owner": "run", "expires": TOMORROW, "approval": "token", "package": "arn", "latest": "run"}
    put(dynamodb, **held)
    assert finish.free_lease("other") is False
    assert item(dynamodb) == held
    assert finish.free_lease("run") is True
    assert item(dynamodb) == {"latest": "run"}
