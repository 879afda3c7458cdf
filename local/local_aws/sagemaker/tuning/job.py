"""Hyperparameter tuning jobs: training jobs of this service, with hyperparameters by a strategy."""

import math
import queue
import uuid
from contextlib import suppress
from functools import partial
from typing import Any

from local_aws.sagemaker import images
from local_aws.sagemaker.api.errors import JobError, ResourceLimitExceeded, ValidationException
from local_aws.sagemaker.api.records import TUNING, Shelf, paged
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.jobs.job import ENDED, Job
from local_aws.sagemaker.jobs.training import TrainingJob
from local_aws.sagemaker.tuning.early_stopping import MedianRule
from local_aws.sagemaker.tuning.search import Point, dimensions, search

MOST_JOBS, MOST_PARALLEL = 750, 10
"""Of one tuning job: the Developer Guide's "Resource limits for automatic model tuning"."""
ATTEMPTS = 5
"""After as many training jobs without a success the tuning job fails (its FailureReason on AWS)."""
OBJECTIVE = "_tuning_objective_metric"
"""The hyperparameter by which AWS tells a training job what it is tuned for."""
ONLY_ON_AWS = {
    "TrainingJobDefinitions": "give one TrainingJobDefinition",
    "WarmStartConfig": "leave it out",
    "Autotune": "leave it out",
    "HyperParameterTuningJobConfig.StrategyConfig": "leave it out",
    "HyperParameterTuningJobConfig.TuningJobCompletionCriteria": "leave it out",
    "HyperParameterTuningJobConfig.ParameterRanges.AutoParameters": "give ranges",
    "TrainingJobDefinition.HyperParameterTuningResourceConfig.InstanceConfigs": "give an InstanceType",
    "TrainingJobDefinition.RetryStrategy": "leave it out",
    "TrainingJobDefinition.TuningObjective": "give HyperParameterTuningJobConfig.HyperParameterTuningJobObjective",
    "TrainingJobDefinition.HyperParameterRanges": "give HyperParameterTuningJobConfig.ParameterRanges",
}
TRAINING_MEMBERS = (
    *("RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition"),
    *("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"),
    *("AlgorithmSpecification", "CheckpointConfig", "Environment"),
)
SUMMARY = (
    *("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime"),
    *("TrainingJobStatus", "FailureReason"),
)
EVENT_MEMBERS = (
    *("HyperParameterTuningJobName", "HyperParameterTuningJobArn", "HyperParameterTuningJobConfig"),
    *("TrainingJobDefinition", "HyperParameterTuningJobStatus", "TrainingJobStatusCounters", "ObjectiveStatusCounters"),
)


class _Running:
    """A training job: what its tuning job stops."""

    def __init__(self, job: TrainingJob) -> None:
        self._job = job

    def stop(self, _: float) -> None:
        """Begin to stop it."""
        with suppress(ValidationException):  # it ended in the same moment
            self._job.stop()

    def kill(self) -> None:
        """Nothing: the service ends each training job itself."""


class TuningJob(Job):
    """A tuning job; `trainings` are all training jobs of the service, to which it adds its own.

    Raises:
        ValidationException, ResourceLimitExceeded: The request asks for what AWS refuses, or what does not run here.
    """

    def __init__(
        self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str], trainings: Shelf[TrainingJob]
    ) -> None:
        super().__init__(TUNING, host, arn, request, tags)
        self._trainings = trainings
        _refuse_what_runs_on_aws_only(request)
        self._config: dict[str, Any] = request["HyperParameterTuningJobConfig"]
        self._definition = _with_resources(request["TrainingJobDefinition"])
        self._space = dimensions(self._config.get("ParameterRanges", {}))
        self.group = "/aws/sagemaker/TrainingJobs"
        self._metric, self._larger = self._objective()
        self._total, self._parallel = self._limits()
        self._check_hyperparameters()
        # It raises for what cannot be trained, and knows a built-in algorithm's metrics.
        trained = TrainingJob(host, arn, self._training("", self._middle()), {}).describe()
        shown = {**self._definition, "AlgorithmSpecification": trained["AlgorithmSpecification"]}
        stopping = self._config.get("TrainingJobEarlyStoppingType", "Off")
        self._rule = MedianRule(larger=self._larger) if stopping == "Auto" else None
        self.update(
            HyperParameterTuningJobConfig={
                **self._config,
                "TrainingJobEarlyStoppingType": stopping,
                "ResourceLimits": {**self._config["ResourceLimits"], "MaxNumberOfTrainingJobs": self._total},
            },
            TrainingJobDefinition={**shown, "StaticHyperParameters": self._fixed()},
            Strategy=self._config["Strategy"],
            ResourceLimits=self._config["ResourceLimits"],
            HyperParameterTuningJobStatus="InProgress",
        )

    def needs(self) -> tuple[str, list[str], str | None]:
        """The role, image and volume key of its training jobs."""
        resources = self._definition["ResourceConfig"]
        image = self._definition["AlgorithmSpecification"]["TrainingImage"]
        return self._definition["RoleArn"], [image], resources.get("VolumeKmsKeyId")

    def vpc(self) -> dict[str, list[str]] | None:
        """The VpcConfig of its training jobs."""
        found: dict[str, list[str]] | None = self._definition.get("VpcConfig")
        return found

    def work(self) -> None:
        """Train until all training jobs have ended. Raises JobError when none succeeds."""
        if seconds := self._config["ResourceLimits"].get("MaxRuntimeInSeconds"):
            self.begin(seconds)
        strategy = search(self._config["Strategy"], self._space, self._config.get("RandomSeed"))
        ended: queue.SimpleQueue[TrainingJob] = queue.SimpleQueue()
        points: dict[str, Point] = {}
        running = failed = succeeded = 0
        hopeless = False
        while True:
            while running < self._parallel and len(points) < self._total and not (hopeless or self.stopped_by):
                point = strategy.suggest()
                if (job := self._start(len(points) + 1, point)) is None:
                    break
                points[job.name] = point
                running += 1
                job.when_done(partial(ended.put, job))
            if not running:
                break
            job, running = ended.get(), running - 1
            value = self._value(job.describe())
            if value is None:
                failed += 1
                hopeless = not succeeded and failed >= ATTEMPTS
                continue
            succeeded += 1
            if self._rule and job.status == "Completed":
                self._rule.completed(job.name)
            strategy.learn(points[job.name], value if self._larger else -value)
        if not succeeded and not self.stopped_by:
            begins = f"No training job succeeded after {ATTEMPTS} attempts" if hopeless else "All training jobs failed"
            raise JobError(f"{begins}. Please take a look at the training job failures to get more details.")

    def describe(self) -> dict[str, Any]:
        """The document, with what its training jobs come to."""
        document = super().describe()  # first: once it has ended, so have they
        jobs = [job.describe() for job in self.trainings()]
        statuses = [_counted(job) for job in jobs]
        objectives = [self._objective_status(job) for job in jobs]
        best = self._best(jobs)
        counters = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
        return {
            **document,
            "TrainingJobStatusCounters": {name: statuses.count(name) for name in counters},
            "ObjectiveStatusCounters": {name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")},
            **({"BestTrainingJob": self.summary(best)} if best else {}),
        }

    def trainings(self) -> list[TrainingJob]:
        """Its training jobs in the order of their start."""
        return [job for job in self._trainings.all() if job.describe().get("TuningJobArn") == self.arn]

    def summary(self, job: dict[str, Any]) -> dict[str, Any]:
        """What the API shows of the description of one of its training jobs."""
        value = self._value(job)
        final = {"MetricName": self._metric, "Value": value}
        return {
            **{name: job[name] for name in SUMMARY if name in job},
            "TunedHyperParameters": {each.name: job["HyperParameters"][each.name] for each in self._space},
            "ObjectiveStatus": self._objective_status(job),
            **({} if value is None else {"FinalHyperParameterTuningJobObjectiveMetric": final}),
        }

    def update(self, **members: Any) -> None:
        """Change the document at once, and send the event of a new status."""
        super().update(**members)
        if "HyperParameterTuningJobStatus" not in members:
            return
        found = self.describe()
        shown = {name: found[name] for name in EVENT_MEMBERS}
        times = {name: round(found[name].timestamp() * 1000) for name in ("CreationTime", "LastModifiedTime")}
        detail = {**shown, **times, "Tags": self.tags}
        self.host.events.send("SageMaker HyperParameter Tuning Job State Change", self.arn, detail)

    def _objective(self) -> tuple[str, bool]:
        """The name of the metric, and whether larger is better."""
        objective = self._config.get("HyperParameterTuningJobObjective")
        if objective is None:
            raise ValidationException("A metric is required for this hyperparameter tuning job objective.")
        name, larger = objective["MetricName"], objective["Type"] == "Maximize"
        algorithm = self._definition["AlgorithmSpecification"]
        uri = algorithm.get("TrainingImage", "")
        own = images.find(self.host.images, uri, "train").metrics if uri else {}
        defined = own or {each["Name"]: each["Regex"] for each in algorithm.get("MetricDefinitions", [])}
        if name not in defined:
            raise ValidationException(
                f"The objective metric for the hyperparameter tuning job, [{name}], isn't valid for the [{uri}] "
                f"algorithm. Choose a valid objective metric: {', '.join(sorted(defined)) or 'it has none'}."
            )
        if own and ("<loss>" if larger else "<score>") in own[name]:
            raise ValidationException(
                f"The objective metric type, [{objective['Type']}], that you specified for objective metric, [{name}], "
                f"isn't valid for the [{uri}] algorithm. Choose a valid objective metric type."
            )
        return name, larger

    def _limits(self) -> tuple[int, int]:
        """The training jobs in all and in parallel."""
        limits = self._config["ResourceLimits"]
        total, parallel = limits.get("MaxNumberOfTrainingJobs"), limits["MaxParallelTrainingJobs"]
        match self._config["Strategy"]:
            case "Hyperband":
                raise ValidationException("The strategy Hyperband does not run locally: use Bayesian, Random or Grid.")
            case "Grid":
                if not all(each.values for each in self._space):
                    raise ValidationException("The strategy Grid takes only CategoricalParameterRanges.")
                combinations = math.prod(len(each.values) for each in self._space)
                if total not in (None, combinations):
                    raise ValidationException(
                        f"MaxNumberOfTrainingJobs is {total}, but the strategy Grid has {combinations} combinations: "
                        "give this number or none."
                    )
                total = combinations
        if total is None:
            raise ValidationException("MaxNumberOfTrainingJobs is required for this strategy.")
        for number, most, what in (
            (total, MOST_JOBS, "training jobs"),
            (parallel, MOST_PARALLEL, "parallel training jobs"),
        ):
            if number > most:
                raise ResourceLimitExceeded(
                    f"The account-level service limit 'Number of {what} per hyperparameter tuning job' is {most}, with "
                    f"a request of {number}."
                )
        return total, parallel

    def _check_hyperparameters(self) -> None:
        fixed = self._definition.get("StaticHyperParameters", {})
        if both := sorted(each.name for each in self._space if each.name in fixed):
            raise ValidationException(
                f"The hyperparameters {', '.join(both)} are in StaticHyperParameters and in ParameterRanges: take each "
                "out of one."
            )

    def _fixed(self) -> dict[str, str]:
        return {**self._definition.get("StaticHyperParameters", {}), OBJECTIVE: self._metric}

    def _middle(self) -> Point:
        return (0.5,) * len(self._space)

    def _training(self, name: str, point: Point) -> dict[str, Any]:
        """The request of a training job."""
        tuned = {each.name: each.at(place) for each, place in zip(self._space, point, strict=True)}
        members = {name: self._definition[name] for name in TRAINING_MEMBERS if name in self._definition}
        return {"TrainingJobName": name, "HyperParameters": {**self._fixed(), **tuned}, **members}

    def _start(self, number: int, point: Point) -> TrainingJob | None:
        """The training job of a point, which has begun; none when this one is being stopped."""
        name = f"{self.name}-{number:03}-{uuid.uuid4().hex[:8]}"
        request = self._training(name, point)
        with self.lock:
            if self.stopped_by:
                return None
            job = self._trainings.add(name, lambda arn: TrainingJob(self.host, arn, request, dict(self.tags)))
            job.update(TuningJobArn=self.arn)
            self.attach(_Running(job))
        if self._rule:
            job.metrics.watch = partial(self._seen, job, self._rule)
        job.start()
        return job

    def _seen(self, job: TrainingJob, rule: MedianRule, metric: str, value: float) -> None:
        """Stop a training job that does not improve enough."""
        if metric == self._metric and rule.stops(job.name, value):
            _Running(job).stop(self.host.grace_seconds)

    def _value(self, job: dict[str, Any]) -> float | None:
        """The objective of a training job's description that has ended well or was stopped; else none."""
        final = {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", [])}
        return final.get(self._metric) if job["TrainingJobStatus"] in ("Completed", "Stopped") else None

    def _objective_status(self, job: dict[str, Any]) -> str:
        if job["TrainingJobStatus"] not in ENDED:
            return "Pending"
        return "Failed" if self._value(job) is None else "Succeeded"

    def _best(self, jobs: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The completed job of the best objective, of equals the first."""
        values = [(self._value(job), job) for job in jobs if job["TrainingJobStatus"] == "Completed"]
        known = [(value if self._larger else -value, job) for value, job in values if value is not None]
        return max(known, key=lambda pair: pair[0])[1] if known else None


def _counted(job: dict[str, Any]) -> str:
    """The counter of a training job's status."""
    status = str(job["TrainingJobStatus"])
    if status == "Failed":
        internal = str(job.get("FailureReason", "")).startswith("InternalServerError")
        return "RetryableError" if internal else "NonRetryableError"
    return status if status in ENDED else "InProgress"


def _with_resources(definition: dict[str, Any]) -> dict[str, Any]:
    """A TrainingJobDefinition with a ResourceConfig, for which the SDK sends a HyperParameterTuningResourceConfig."""
    given = definition.get("HyperParameterTuningResourceConfig")
    return {"ResourceConfig": given, **definition} if given else definition


def _refuse_what_runs_on_aws_only(request: dict[str, Any]) -> None:
    for place, advice in ONLY_ON_AWS.items():
        found: Any = request
        for name in place.split("."):
            found = (found or {}).get(name)
        if found:
            raise ValidationException(f"{place} does not run locally: {advice}.")
    if "TrainingJobDefinition" not in request:
        raise ValidationException(
            "Value null at 'trainingJobDefinition' failed to satisfy constraint: Member must not be null"
        )


def listed(jobs: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """The answer of ListTrainingJobsForHyperParameterTuningJob, of the summaries of a tuning job's training jobs."""
    by, final = request.get("SortBy", "Name"), "FinalHyperParameterTuningJobObjectiveMetric"
    if wanted := request.get("StatusEquals"):
        jobs = [job for job in jobs if job["TrainingJobStatus"] == wanted]
    if by == "FinalObjectiveMetricValue":  # which leaves out the jobs that have none
        jobs = [job for job in jobs if final in job]
        jobs.sort(key=lambda job: job[final]["Value"])
    else:
        member = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(by, by)
        jobs.sort(key=lambda job: (job[member], job["TrainingJobName"]))
    if request.get("SortOrder", "Ascending") == "Descending":
        jobs.reverse()
    part, more = paged(jobs, request)
    return {"TrainingJobSummaries": part, **more}
