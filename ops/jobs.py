"""The jobs of a run: found by the run's id, which is part of their names, with what they cost and what they logged."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.account import Account
from ops.runs import Run

TYPES = ("Processing", "Training", "Transform")
FAILING = ("error", "exception", "traceback", "fatal", "killed", "failed")
"""Words of a line that is likely to say what went wrong."""


@dataclass(frozen=True)
class Job:
    """A SageMaker job; `kind` is the word in its name, the state that it belongs to."""

    name: str
    kind: str
    type: str
    status: str
    started: datetime
    ended: datetime | None
    reason: str
    instance_type: str
    instance_count: int

    @property
    def seconds(self) -> float:
        """From its creation to its end, times its instances; what is billed is less, as starting up is free."""
        return (self.ended - self.started).total_seconds() * self.instance_count if self.ended else 0.0


def of(account: Account, run: Run) -> list[Job]:
    """The run's jobs in the order of their start."""
    found = [
        _described(account, kind, summary[f"{kind}JobName"])
        for kind in TYPES
        for summary in _call(account, f"list_{kind.lower()}_jobs")(NameContains=run.id, MaxResults=100)[
            f"{kind}JobSummaries"
        ]
    ]
    return sorted(found, key=lambda job: job.started)


def for_state(jobs: list[Job], state: str) -> list[Job]:
    """The jobs of a state, whose name holds its kind: ScoreChampion's is `champion`, ScoreHoldout's `score`."""
    kinds = sorted({job.kind for job in jobs if job.kind in state.lower()}, key=len)
    return [job for job in jobs if kinds and job.kind == kinds[-1]]


def log(account: Account, job: Job) -> list[str]:
    """What the job's containers wrote, in order; nothing when it wrote nothing."""
    logs = account.session.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/sagemaker/{job.type}Jobs", logStreamNamePrefix=f"{job.name}/"
        )
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def failing(lines: list[str]) -> list[str]:
    """The lines that are likely to say what went wrong."""
    return [line for line in lines if any(word in line.lower() for word in FAILING)]


def _described(account: Account, kind: str, name: str) -> Job:
    found = _call(account, f"describe_{kind.lower()}_job")(**{f"{kind}JobName": name})
    resources = found.get("ProcessingResources", {}).get("ClusterConfig") or found.get("ResourceConfig")
    resources = resources or found["TransformResources"]
    return Job(
        name=name,
        kind=name.removeprefix(f"{account.settings.project.name}-").split("-")[0],
        type=kind,
        status=found[f"{kind}JobStatus"],
        started=found["CreationTime"],
        ended=found.get(f"{kind}EndTime"),
        reason=found.get("ExitMessage") or found.get("FailureReason", ""),
        instance_type=resources["InstanceType"],
        instance_count=resources["InstanceCount"],
    )


def _call(account: Account, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(account.sagemaker, name)
    return method
