"""The lease against a local DynamoDB and Step Functions: one owner at a time, and no dead one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from lambdas.lease.lease import Lease, LeaseHeld, Superseded, acquire
from tests.lambdas.conftest import table_and_machine

pytestmark = pytest.mark.cloud
NOW, HOUR = 1_800_000_000, 3_600
DATA = {"data": {"fingerprint": "f" * 64}}


class Executions:
    """The lease, and executions that may own it."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self.table = f"lease-{uuid4().hex[:8]}"
        self.machine = table_and_machine(clients, self.table)
        self.states = clients["states"]
        self.lease = Lease(self.table, "shop", clients["dynamodb"], self.states)

    def start(self, name: str = "") -> str:
        named = {"name": name} if name else {}
        return str(self.states.start_execution(stateMachineArn=self.machine, **named)["executionArn"])

    def acquire(self, execution: str, request: dict[str, Any] | None = None, now: int = NOW) -> None:
        acquire(self.lease, execution, request or {}, now=now, seconds=HOUR)

    def item(self) -> dict[str, str]:
        found = self.lease.dynamodb.get_item(**self.lease.item, ConsistentRead=True).get("Item", {})
        return {name: next(iter(value.values())) for name, value in found.items()}

    def write(self, name: str, value: str) -> None:
        """Write a member beside the lease, as lambdas/trigger does the `latest` wanted run."""
        change = {"UpdateExpression": f"SET {name} = :value", "ExpressionAttributeValues": {":value": {"S": value}}}
        self.lease.dynamodb.update_item(**self.lease.item, **change)


@pytest.fixture
def executions(clients: dict[str, Any]) -> Executions:
    return Executions(clients)


def test_a_running_owner_keeps_the_lease_and_may_take_it_again(executions: Executions) -> None:
    first, second = executions.start(), executions.start()
    executions.acquire(first)
    executions.acquire(first)
    with pytest.raises(LeaseHeld, match="shop: another execution owns the lease"):
        executions.acquire(second)
    assert executions.item() == {"endpoint": "shop", "owner": first, "expires": str(NOW + HOUR)}


@pytest.mark.parametrize("how", ["stopped", "unknown", "expired"])
def test_a_dead_owner_is_replaced_with_its_approval(executions: Executions, how: str) -> None:
    first, second = executions.start(), executions.start()
    owner = first if how != "unknown" else f"{first}-of-long-ago"
    executions.acquire(owner)
    executions.write("approval", "token of the dead")
    if how == "stopped":
        executions.states.stop_execution(executionArn=first)
    executions.acquire(second, now=NOW + HOUR + 1 if how == "expired" else NOW)
    item = executions.item()
    assert (item["owner"], "approval" in item) == (second, False)


def test_newer_data_supersedes_a_run_that_waits_or_owns_and_none_that_was_started_by_hand(
    executions: Executions,
) -> None:
    older, holder = executions.start("older"), executions.start()
    executions.acquire(holder)
    executions.write("latest", "newer")
    with pytest.raises(Superseded, match="run newer is on newer data or settings"):
        executions.acquire(older, DATA)
    with pytest.raises(LeaseHeld):
        executions.acquire(older, {"data": {"fingerprint": "none"}})
    executions.write("latest", "older")
    executions.states.stop_execution(executionArn=holder)
    executions.acquire(older, DATA)
    assert executions.item()["owner"] == older


def test_a_deployment_works_under_the_lease_of_the_run_that_started_it(executions: Executions) -> None:
    run, other, deployment = executions.start(), executions.start(), executions.start()
    with pytest.raises(LeaseHeld, match="does not own the lease"):
        executions.acquire(deployment, {"parent": run})
    executions.acquire(run)
    executions.acquire(deployment, {"parent": run})
    assert executions.item()["owner"] == run
    with pytest.raises(LeaseHeld):
        executions.acquire(deployment, {"parent": other})


@pytest.mark.drill("race", "many executions ask for the lease at once", "one gets it")
def test_of_many_at_once_one_gets_it(executions: Executions) -> None:
    several = [executions.start() for _ in range(8)]

    def attempt(execution: str) -> bool:
        try:
            executions.acquire(execution)
        except LeaseHeld:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [execution for execution, got in zip(several, pool.map(attempt, several), strict=True) if got]
    assert won == [executions.item()["owner"]]
