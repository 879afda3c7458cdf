"""The SageMaker jobs of a run, whose names hold the run's id: their logs and their cost."""

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, cast

import typer
from botocore.exceptions import BotoCoreError, ClientError

from ops.account import Account
from ops.output import Exit, Result, RunName, command
from ops.runs import Run, find, steps

TYPES = {"Processing": "Processing", "Training": "Training", "Transform": "Batch Transform"}
"""The Price List's term for each type of job (AWS Price List, AmazonSageMaker, attribute `component`)."""
KINDS = {
    "ScoreHoldout": ("score", "champion"),
    "ScoreChallenger": ("score",),
    "ScoreChampion": ("champion",),
    "TrainOnDemand": ("ondemand",),
}
"""The kinds of a state's jobs, where they are not the state's name."""
ERROR_WORDS = ("error", "exception", "traceback", "fatal", "killed", "failed")
Cost = tuple[str, str, float, float | None]


@dataclass(frozen=True)
class Job:
    """A SageMaker job; `kind` is the word in its name: preprocess, merge, train, ondemand, score, champion, evaluate.

    Of a training job of a tuning job it is tune.

    `started` is its creation, `begun` when its instances worked. `billed` are the seconds that SageMaker bills for an
    instance of a training job; it names none for other jobs.
    """

    name: str
    kind: str
    type: str
    status: str
    started: datetime
    ended: datetime | None
    reason: str
    instance_type: str
    instance_count: int
    billed: int | None = None
    begun: datetime | None = None

    @property
    def seconds(self) -> float:
        """Instance seconds from creation to end; SageMaker bills less, as the start of an instance is free."""
        return (self.ended - self.started).total_seconds() * self.instance_count if self.ended else 0.0

    @property
    def paid(self) -> float:
        """The instance seconds that cost: fewer than all of a job on spare capacity."""
        return self.seconds if self.billed is None else float(self.billed * self.instance_count)


@command
def logs(
    account: Account,
    run: RunName = "",
    state: Annotated[str, typer.Argument(help="A state with a job. Default: the failed one, or all.")] = "",
    lines: Annotated[int, typer.Option("--lines", min=1, help="The number of last lines of each log.")] = 1000,
) -> Result:
    """Show the logs of a run's jobs: the failed job's log, errors first. Exit code: 4 when there is no job."""
    found = find(account, run)
    entered, jobs = steps(account, found), jobs_of(account, found)
    failed = [step for step in entered if step.failed]
    wanted = state or next((step.state for step in failed if of_state(jobs, step.state)), "")
    document, text = [], [f"{step.state}: {step.error}: {step.cause}" for step in failed if state in ("", step.state)]
    for job in of_state(jobs, wanted) if wanted else jobs:
        errors, log = log_of(account, job)
        document.append({"state": wanted, "job": job, "errors": errors, "lines": log[-lines:]})
        text.append(f"{job.name}: {job.status} {job.reason}".rstrip())
        text += [*(f"  ! {line}" for line in errors), *(f"    {line}" for line in log[-lines:])]
    if not document:
        names = ", ".join(dict.fromkeys(step.state for step in entered))
        text.append(f"run {found.name} has no job{f' for {state}' if state else ''}: its states are {names}")
    return Result({"run": found, "failed": failed, "jobs": document}, text, Exit.OK if document else Exit.NOTHING)


def jobs_of(account: Account, run: Run, trainings: list[dict[str, Any]] | None = None) -> list[Job]:
    """The run's jobs in the order of their start; `trainings` are those of its tuning job, if they are known."""
    sagemaker, project = cast(Any, account.sagemaker), account.settings.project.name
    # Another project's run may have the same name.
    own, found = re.compile(rf"{re.escape(project)}-\w+-{run.id}-\d+"), []
    for kind in TYPES:
        listed = getattr(sagemaker, f"list_{kind.lower()}_jobs")(NameContains=run.id, MaxResults=100)
        describe = getattr(sagemaker, f"describe_{kind.lower()}_job")
        names = filter(own.fullmatch, (each[f"{kind}JobName"] for each in listed[f"{kind}JobSummaries"]))
        found += [_job(project, kind, describe(**{f"{kind}JobName": name})) for name in names]
    for each in trained_by(account, tuning_job(account, run)) if trainings is None else trainings:
        described = account.sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        found.append(replace(_job(project, "Training", dict(described)), kind="tune"))
    return sorted(found, key=lambda job: job.started)


def tuning_job(account: Account, run: Run) -> dict[str, Any]:
    """The description of the run's last tuning job; empty when it has none.

    Its name has no part of the run's, but it writes its models to the run's folder.
    """
    until: dict[str, Any] = {"CreationTimeBefore": run.stopped} if run.stopped else {}
    listed = account.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
        NameContains=account.settings.project.name, CreationTimeAfter=run.started, SortBy="CreationTime", **until
    )
    for page in listed:
        for each in page["HyperParameterTuningJobSummaries"]:
            name = each["HyperParameterTuningJobName"]
            found = account.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            if f"/runs/{run.name}/" in found["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"]:
                return dict(found)
    return {}


def trained_by(account: Account, tuning: dict[str, Any]) -> list[dict[str, Any]]:
    """The training jobs of a tuning job's description, in their order, with hyperparameters and objective."""
    if not tuning:
        return []
    pages = account.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=tuning["HyperParameterTuningJobName"], SortBy="Name", SortOrder="Ascending"
    )
    return [dict(each) for page in pages for each in page["TrainingJobSummaries"]]


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
        billed=found.get("BillableTimeInSeconds"),
        begun=found.get(f"{kind}StartTime"),
    )


def of_state(jobs: list[Job], state: str) -> list[Job]:
    """The jobs of a state; most states are named as the kind of their job."""
    return [job for job in jobs if job.kind in KINDS.get(state, (state.lower(),))]


def log_of(account: Account, job: Job) -> tuple[list[str], list[str]]:
    """(errors, lines) of the job's log: all lines, and those of a failed job that are likely to name the error."""
    client = account.session.client("logs")
    group, prefix = f"/aws/sagemaker/{job.type}Jobs", f"{job.name}/"
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNamePrefix=prefix)
        lines = [event["message"] for page in pages for event in page["events"]]
    except client.exceptions.ResourceNotFoundException:
        return [], []
    failed = job.status == "Failed"
    return [line for line in lines if failed and any(word in line.lower() for word in ERROR_WORDS)], lines


def training_job(account: Account, jobs: list[Job], tuning: dict[str, Any]) -> dict[str, Any]:
    """The description of the training job whose model the run has: the best one of its tuning job, or else the last."""
    last = next((job.name for job in reversed(jobs) if job.type == "Training"), None)
    name = tuning.get("BestTrainingJob", {}).get("TrainingJobName", last)
    return dict(account.sagemaker.describe_training_job(TrainingJobName=name)) if name else {}


def cost(account: Account, jobs: list[Job]) -> list[Cost]:
    """(job, instances, instance seconds, US dollars) of each job and of all; None where no price is known."""
    prices = {key: _hourly(account, *key) for key in {(job.type, job.instance_type) for job in jobs}}
    found: list[Cost] = []
    for job in jobs:
        price = prices[job.type, job.instance_type]
        dollars = None if price is None else price * job.paid / 3600
        found.append((job.kind, f"{job.instance_count} x {job.instance_type}", job.seconds, dollars))
    known = [dollars for *_, dollars in found if dollars is not None]
    total = sum(known) if found and len(known) == len(found) else None
    return [*found, ("all", "", sum(job.seconds for job in jobs), total)]


def _hourly(account: Account, kind: str, instance_type: str) -> float | None:
    """US dollars per hour on demand in the account's region."""
    region = account.session.region_name or ""
    wanted = {"instanceName": instance_type, "component": TYPES[kind], "regionCode": region}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        # The Price List is served in three regions; this is one of them.
        client = account.session.client("pricing", region_name="us-east-1")
        found = client.get_products(ServiceCode="AmazonSageMaker", Filters=filters)["PriceList"]
        terms = [term for text in found for term in json.loads(text)["terms"]["OnDemand"].values()]
        prices = [float(price["pricePerUnit"]["USD"]) for term in terms for price in term["priceDimensions"].values()]
    except (BotoCoreError, ClientError, KeyError, ValueError):
        return None
    return max(prices, default=None)
