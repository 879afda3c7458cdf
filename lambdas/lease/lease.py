"""The lease: an item in DynamoDB that one execution at a time owns.

One conditional write takes it. A lease that has expired is free, and so is one whose owner no longer runs. The item
also holds the newest wanted run (`latest`, by lambdas/trigger) and the task token of an approval (lambdas/finish).
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any


class LeaseHeld(Exception):
    """Another execution owns the lease."""


class Superseded(Exception):
    """A run on newer data or settings is wanted, so this one ends."""


@dataclass(frozen=True)
class Lease:
    """The item of an endpoint in the table, and the clients to read and write it with."""

    table: str
    endpoint: str
    dynamodb: Any
    states: Any

    @property
    def item(self) -> dict[str, Any]:
        """The item's place, as DynamoDB's operations take it."""
        return {"TableName": self.table, "Key": {"endpoint": {"S": self.endpoint}}}


def acquire(lease: Lease, execution: str, request: dict[str, Any], *, now: int, seconds: int) -> None:
    """Make the execution the owner for `seconds` from `now`, in seconds since 1970.

    A deployment that a retrain execution started works under the lease of that execution, its request's `parent`.

    Raises LeaseHeld: another running execution owns the lease, or the parent does not.
    Raises Superseded: the request is for data, and another run's data is newer.
    """
    held = _plain(lease.dynamodb.get_item(**lease.item, ConsistentRead=True).get("Item", {}))
    _check_newest(request, execution, held)
    owner = held.get("owner", "")
    if parent := request.get("parent"):
        if owner != parent:
            raise LeaseHeld(f"{parent} started this deployment and does not own the lease")
        return
    dead = owner if owner and owner != execution and not _runs(lease, owner) else execution
    times = {":expires": {"N": str(now + seconds)}, ":now": {"N": str(now)}}
    try:
        written = lease.dynamodb.update_item(
            **lease.item,
            UpdateExpression="SET #owner = :me, expires = :expires REMOVE approval, package",
            ConditionExpression="attribute_not_exists(#owner) OR #owner IN (:me, :dead) OR expires < :now",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":me": {"S": execution}, ":dead": {"S": dead}, **times},
            ReturnValues="ALL_NEW",
        )
    except lease.dynamodb.exceptions.ConditionalCheckFailedException:
        raise LeaseHeld(f"{lease.endpoint}: another execution owns the lease") from None
    _check_newest(request, execution, _plain(written["Attributes"]))


def _plain(item: dict[str, Any]) -> dict[str, str]:
    return {name: next(iter(value.values())) for name, value in item.items()}


def _check_newest(request: dict[str, Any], execution: str, item: dict[str, str]) -> None:
    """No data supersedes a run that a person started without data."""
    latest, name = item.get("latest"), execution.rpartition(":")[2]
    if latest and latest != name and request.get("data", {}).get("fingerprint", "none") != "none":
        raise Superseded(f"run {latest} is on newer data or settings")


def _runs(lease: Lease, execution: str) -> bool:
    with suppress(lease.states.exceptions.ExecutionDoesNotExist):
        return bool(lease.states.describe_execution(executionArn=execution)["status"] == "RUNNING")
    return False
