"""Train: fit the linear learner on this run's split, or Tune: fit it with several hyperparameters and keep the best."""

from typing import Any

from pipeline.asl import (
    CategoricalParameter,
    ChoiceRule,
    ContinuousParameter,
    Estimator,
    HyperparameterTuner,
    IntegerParameter,
    Intrinsic,
    Pass,
    State,
    TrainingInput,
    TrainingStep,
    TuningStep,
    caught,
    choice,
    retried,
    with_fields,
)
from pipeline.settings import Range
from pipeline.states.building import (
    KEY,
    ROLE,
    ROWS_OF,
    START_UP_SECONDS,
    Building,
    folder,
    job_name,
    session,
    tuning_name,
    volume_key,
)


def train(build: Building) -> list[State]:
    """Train and TrainingCompleted: `$.train` = {job, status}.

    A job that hits MaxRuntimeInSeconds ends Stopped, which is no success whatever `.sync` makes of it. A spot job that
    found no spare capacity in time is trained once more on demand, under another name.

    With tuning it is Tune to UseBestJob, and the job is the best one of `$.tuning`, the tuning job's description.
    """
    if build.settings.tuning.jobs:
        return _tune(build)
    if not build.settings.training.spot:
        return [_train(build, "Train", "train"), _completed(build)]
    completed = _completed(build)
    on_demand = _train(build, "TrainOnDemand", "ondemand")
    on_demand.next(completed)
    step = _train(build, "Train", "train", spot=True)
    # Not at `$.error`: a run that has one at its end did not succeed.
    failed = Pass("TrainFailed", input_path="$.train", result_path="$.error")
    failed.next(build.on_error)
    waited = ChoiceRule.StringMatches("$.train.Cause", '*"MaxWaitTimeExceeded"*')
    interrupted = choice("SpotInterrupted", waited, on_demand, failed)
    return [caught(step, interrupted, "$.train", ["States.TaskFailed"]), completed]


def _completed(build: Building) -> State:
    stopped = ChoiceRule.Not(ChoiceRule.StringEquals("$.train.status", "Completed"))
    return choice("TrainingCompleted", stopped, build.on_error)


def _train(build: Building, state_id: str, kind: str, *, spot: bool = False) -> State:
    step = TrainingStep(
        state_id,
        estimator=_estimator(build, spot=spot),
        job_name=job_name(build.project, kind),
        data=_channels(build),
        output_data_config_path=folder("model"),
        timeout_seconds=_seconds(build, spot=spot) + START_UP_SECONDS,
        result_path="$.train",
    )
    parameters = step.fields["parameters"]
    parameters |= _dropped(build)
    del parameters["DebugHookConfig"]
    with_fields(step, result_selector={"job.$": "$.TrainingJobName", "status.$": "$.TrainingJobStatus"})
    return caught(retried(step), build.on_error)


def _tune(build: Building) -> list[State]:
    """Tune, TuningCompleted and UseBestJob.

    A tuning job may be completed without a best job only if no training job reported the objective.
    """
    tuning, spot, best = build.settings.tuning, build.settings.training.spot, "$.tuning.BestTrainingJob"
    tuner = HyperparameterTuner(
        _estimator(build, spot=spot),
        tuning.objective,
        {name: _range(name, each) for name, each in tuning.ranges.given.items()},
        objective_type="Maximize" if tuning.maximises else "Minimize",
        max_jobs=tuning.jobs,
        max_parallel_jobs=tuning.parallel,
        strategy=tuning.strategy,
        early_stopping_type="Auto" if tuning.early_stopping else "Off",
    )
    step = TuningStep(
        "Tune",
        tuner=tuner,
        job_name=tuning_name(build.project),
        data=_channels(build),
        timeout_seconds=tuning.rounds * (_seconds(build, spot=spot) + START_UP_SECONDS),
        result_path="$.tuning",
    )
    parameters = step.fields["parameters"]
    # The SDK drops the seed, with which a search on the same data tries the same again.
    parameters["HyperParameterTuningJobConfig"]["RandomSeed"] = 0
    definition = parameters["TrainingJobDefinition"]
    definition["OutputDataConfig"]["S3OutputPath"] = folder("model")
    definition |= _dropped(build)
    del definition["ProfilerConfig"]
    completed = ChoiceRule.And(
        [
            ChoiceRule.StringEquals("$.tuning.HyperParameterTuningJobStatus", "Completed"),
            ChoiceRule.IsPresent(f"{best}.TrainingJobName", True),
        ]
    )
    chosen = {"job": Intrinsic(f"{best}.TrainingJobName"), "status": Intrinsic(f"{best}.TrainingJobStatus")}
    return [
        caught(retried(step), build.on_error),
        choice("TuningCompleted", ChoiceRule.Not(completed), build.on_error),
        Pass("UseBestJob", parameters=chosen, result_path="$.train"),
    ]


def _range(name: str, given: Range) -> CategoricalParameter | ContinuousParameter | IntegerParameter:
    """The SDK's range; all numbers that can be tuned are greater than 0 and are searched by orders of magnitude."""
    if given.values:
        return CategoricalParameter([str(value) for value in given.values])
    whole = name == "mini_batch_size"
    kind, number = (IntegerParameter, int) if whole else (ContinuousParameter, float)
    return kind(number(given.minimum or 0), number(given.maximum or 0), scaling_type="Logarithmic")


def _channels(build: Building) -> dict[str, TrainingInput]:
    content_type = build.settings.training.content_type
    return {name: TrainingInput(folder(name, ROWS_OF), content_type=content_type) for name in ("train", "validation")}


def _seconds(build: Building, *, spot: bool) -> int:
    """The time that a job may take, waits included."""
    size = build.settings.training
    return 60 * (size.max_wait_minutes if spot else size.max_runtime_minutes)


def _dropped(build: Building) -> dict[str, Any]:
    """What the SDK drops of an Estimator; it also adds a hook that writes to the bucket's root."""
    isolated = {"EnableNetworkIsolation": True, "EnableInterContainerTrafficEncryption": True}
    return {**isolated, "ProfilerConfig": {"DisableProfiler": True}, **build.vpc}


def _estimator(build: Building, *, spot: bool) -> Estimator:
    size = build.settings.training
    return Estimator(
        image_uri="${TrainingImage}",
        role=ROLE,
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        volume_size=size.volume_gb,
        volume_kms_key=volume_key(size.instance_type),
        output_kms_key=KEY,
        output_path="s3://${DataBucket}",
        input_mode=size.input_mode,
        max_run=size.max_runtime_minutes * 60,
        use_spot_instances=spot,
        max_wait=_seconds(build, spot=True) if spot else None,
        hyperparameters={**build.settings.hyperparameters()},
        sagemaker_session=session(),
    )
