"""Runs: what Step Functions knows of an execution, in the words of the pipeline."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from ops.account import Account, OpsError

MOST = 1000
"""How many runs are looked through for a name."""


class NoRun(OpsError):
    """There is no run to show."""


@dataclass(frozen=True)
class Step:
    """A state that a run entered, and, once it has left it, when; `error` and `cause` are those of its last failure."""

    state: str
    entered: datetime
    left: datetime | None
    error: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Run:
    """An execution: what it was asked, and, when it has ended, its end, outcome or cause, and why."""

    arn: str
    name: str
    status: str
    asked: str
    started: datetime
    stopped: datetime | None
    outcome: str
    reason: str

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == "RUNNING"

    @property
    def id(self) -> str:
        """What the names of its jobs, model and endpoint config hold: the MD5 of its name (pipeline/names.py)."""
        return hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None


def latest(account: Account, limit: int = 5) -> list[Run]:
    """The newest runs, newest first."""
    return [describe(account, arn) for _, arn in islice(_listed(account), limit)]


def find(account: Account, name: str = "") -> Run:
    """The newest run whose name begins with `name`. Raises NoRun."""
    for found, arn in islice(_listed(account), MOST):
        if found.startswith(name):
            return describe(account, arn)
    if name:
        raise NoRun(f"no run's name begins with {name}: `python -m ops runs` lists them")
    raise NoRun("no run yet: `python -m ops upload FILE` starts one")


def of_resource(account: Account, resource: str) -> Run | None:
    """The run that made a model or an endpoint config of this name."""
    project = account.settings.project.name
    for name, arn in islice(_listed(account), MOST):
        run_id = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        if resource == f"{project}-{run_id}":
            return describe(account, arn)
    return None


def describe(account: Account, arn: str) -> Run:
    """One run as it is now."""
    found = account.states.describe_execution(executionArn=arn)
    output = json.loads(found.get("output") or "{}")
    if found["status"] == "SUCCEEDED":
        outcome = str(output.get("outcome", "done"))
        decision = output.get("evaluation", {}).get("metrics", {}).get("decision", {})
        reason = str(output.get("why") or decision.get("reason", ""))
    else:
        outcome = ": ".join(filter(None, [found.get("error"), readable(found.get("cause", "")).strip()]))
        reason = ""
    return Run(
        arn=arn,
        name=found["name"],
        status=found["status"],
        asked=str(request(found.get("input", "")).get("reason", "manual")),
        started=found["startDate"],
        stopped=found.get("stopDate"),
        outcome=outcome,
        reason=reason,
    )


def request(text: str) -> dict[str, Any]:
    """An execution's input; nothing when it was started by hand with something else."""
    document = json.loads(text or "{}")
    return document if isinstance(document, dict) else {}


def readable(cause: str) -> str:
    """The sentence in a cause. A failed job's is its whole Describe document; a failed Lambda's, its error as JSON."""
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    if not isinstance(document, dict):
        return cause
    return str(document.get("ExitMessage") or document.get("FailureReason") or document.get("errorMessage") or cause)


def steps(account: Account, arn: str) -> list[Step]:
    """The states that a run entered, in that order.

    An event belongs to the state that the events before it lead back to; where the history does not say which came
    before (the local AWS), to the state that was entered last.
    """
    found: list[Step] = []
    owner: dict[int, int] = {}
    pages = account.states.get_paginator("get_execution_history").paginate(executionArn=arn)
    for event in (event for page in pages for event in page["events"]):
        details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        entered, left = event.get("stateEnteredEventDetails"), event.get("stateExitedEventDetails")
        if entered is not None:
            found.append(Step(entered["name"], event["timestamp"], None))
        number = owner.get(event.get("previousEventId", 0), len(found) - 1)
        if entered is not None:
            number = len(found) - 1
        elif left is not None:
            number = max(index for index, step in enumerate(found) if step.state == left["name"])
            found[number] = Step(
                left["name"], found[number].entered, event["timestamp"], found[number].error, found[number].cause
            )
        elif isinstance(details, dict) and "error" in details and number >= 0:
            step = found[number]
            cause = readable(details.get("cause", ""))
            found[number] = Step(step.state, step.entered, step.left, details["error"], cause)
        owner[event["id"]] = number
    return found


def _listed(account: Account) -> Any:
    """(name, ARN) of every run, newest first."""
    pages = account.states.get_paginator("list_executions").paginate(stateMachineArn=account.outputs["StateMachine"])
    return ((execution["name"], execution["executionArn"]) for page in pages for execution in page["executions"])
