"""Runs: what Step Functions knows of an execution, in the words of the pipeline."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.account import Account, OpsError


class NoRun(OpsError):
    """There is no run to show."""


@dataclass(frozen=True)
class Event:
    """A state was entered or left; `at` is the service's own clock."""

    state: str
    entered: bool
    at: datetime


@dataclass(frozen=True)
class Run:
    """An execution: its name, status, start, and, when it has ended, its end, outcome or cause, and why."""

    arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None
    outcome: str
    reason: str

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == "RUNNING"


def latest(account: Account, limit: int = 5) -> list[Run]:
    """The newest runs, newest first."""
    machine = account.outputs["StateMachine"]
    listed = account.states.list_executions(stateMachineArn=machine, maxResults=limit)["executions"]
    return [describe(account, execution["executionArn"]) for execution in listed]


def describe(account: Account, arn: str) -> Run:
    """One run as it is now."""
    found = account.states.describe_execution(executionArn=arn)
    output = json.loads(found.get("output") or "{}")
    if found["status"] == "SUCCEEDED":
        outcome = str(output.get("outcome", "done"))
        reason = str(output.get("why", ""))
    else:
        outcome = ": ".join(filter(None, [found.get("error"), found.get("cause", "").strip()]))
        reason = ""
    return Run(
        arn=arn,
        name=found["name"],
        status=found["status"],
        started=found["startDate"],
        stopped=found.get("stopDate"),
        outcome=outcome,
        reason=reason,
    )


def events(account: Account, arn: str, seen: int) -> Iterator[tuple[int, Event | None]]:
    """Each history event after number `seen`: its number, and what it says of a state, if it does."""
    pages = account.states.get_paginator("get_execution_history").paginate(executionArn=arn)
    for page in pages:
        for event in page["events"]:
            if event["id"] > seen:
                yield event["id"], _event(event)


def _event(event: Any) -> Event | None:
    for key, entered in (("stateEnteredEventDetails", True), ("stateExitedEventDetails", False)):
        if key in event:
            return Event(event[key]["name"], entered, event["timestamp"])
    return None
