"""The SageMaker jobs of a run: their names hold the run's id."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.account import Account
from ops.runs import Run

TYPES = ("Processing", "Training", "Transform")
SCORING = {"ScoreHoldout": ("score", "champion"), "ScoreChallenger": ("score",), "ScoreChampion": ("champion",)}
ERROR_WORDS = ("error", "exception", "traceback", "fatal", "killed", "failed")


@dataclass(frozen=True)
class Job:
    """A SageMaker job; `kind` is the word in its name: preprocess, merge, train, score, champion, evaluate."""

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
        """Instance seconds from creation to end; SageMaker bills less, as the start of an instance is free."""
        return (self.ended - self.started).total_seconds() * self.instance_count if self.ended else 0.0


def jobs_of(account: Account, run: Run) -> list[Job]:
    """The run's jobs in the order of their start."""
    sagemaker: Any = account.sagemaker
    found = []
    for kind in TYPES:
        listed = getattr(sagemaker, f"list_{kind.lower()}_jobs")(NameContains=run.id, MaxResults=100)
        describe = getattr(sagemaker, f"describe_{kind.lower()}_job")
        jobs = (describe(**{f"{kind}JobName": each[f"{kind}JobName"]}) for each in listed[f"{kind}JobSummaries"])
        found += [_job(account.settings.project.name, kind, job) for job in jobs]
    return sorted(found, key=lambda job: job.started)


def of_state(jobs: list[Job], state: str) -> list[Job]:
    """The jobs of a state; most states are named as the kind of their job."""
    return [job for job in jobs if job.kind in SCORING.get(state, (state.lower(),))]


def log_of(account: Account, job: Job) -> tuple[list[str], list[str]]:
    """(errors, lines) of the job's log: all lines, and those of a failed job that are likely to name the error."""
    logs = account.session.client("logs")
    group, prefix = f"/aws/sagemaker/{job.type}Jobs", f"{job.name}/"
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNamePrefix=prefix)
        lines = [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return [], []
    failed = job.status == "Failed"
    return [line for line in lines if failed and any(word in line.lower() for word in ERROR_WORDS)], lines


def training_job(account: Account, jobs: list[Job]) -> dict[str, Any]:
    """The description of the training job among these; empty when there is none."""
    name = next((job.name for job in jobs if job.type == "Training"), None)
    return dict(account.sagemaker.describe_training_job(TrainingJobName=name)) if name else {}


def _job(project: str, kind: str, found: dict[str, Any]) -> Job:
    cluster = found.get("ProcessingResources", {}).get("ClusterConfig")
    resources = cluster or found.get("ResourceConfig") or found["TransformResources"]
    name = found[f"{kind}JobName"]
    return Job(
        name=name,
        kind=name.removeprefix(f"{project}-").split("-")[0],
        type=kind,
        status=found[f"{kind}JobStatus"],
        started=found["CreationTime"],
        ended=found.get(f"{kind}EndTime"),
        reason=found.get("ExitMessage") or found.get("FailureReason", ""),
        instance_type=resources["InstanceType"],
        instance_count=resources["InstanceCount"],
    )
