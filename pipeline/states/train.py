"""Train: fit the linear learner on this run's split."""

from pipeline.asl import (
    ChoiceRule,
    Estimator,
    Pass,
    State,
    TrainingInput,
    TrainingStep,
    caught,
    choice,
    retried,
    with_fields,
)
from pipeline.states.building import KEY, ROLE, START_UP_SECONDS, Building, folder, job_name, session, volume_key


def train(build: Building) -> list[State]:
    """Train and TrainingCompleted: `$.train` = {job, status}.

    A job that hits MaxRuntimeInSeconds ends Stopped, which is no success whatever `.sync` makes of it. A spot job that
    found no spare capacity in time is trained once more on demand, under another name.
    """
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
    size = build.settings.training
    seconds = size.max_runtime_minutes * 60
    wait = size.max_wait_minutes * 60 if spot else None
    estimator = Estimator(
        image_uri="${TrainingImage}",
        role=ROLE,
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        volume_size=size.volume_gb,
        volume_kms_key=volume_key(size.instance_type),
        output_kms_key=KEY,
        output_path="s3://${DataBucket}",
        input_mode=size.input_mode,
        max_run=seconds,
        use_spot_instances=spot,
        max_wait=wait,
        hyperparameters={**build.settings.hyperparameters()},
        sagemaker_session=session(),
    )
    step = TrainingStep(
        state_id,
        estimator=estimator,
        job_name=job_name(build.project, kind),
        data={name: TrainingInput(folder(name), content_type=size.content_type) for name in ("train", "validation")},
        output_data_config_path=folder("model"),
        timeout_seconds=(wait or seconds) + START_UP_SECONDS,
        result_path="$.train",
    )
    parameters = step.fields["parameters"]
    # The SDK drops these arguments of the Estimator, and adds a hook that writes to the bucket's root.
    parameters |= {"EnableNetworkIsolation": True, "EnableInterContainerTrafficEncryption": True}
    parameters |= {"ProfilerConfig": {"DisableProfiler": True}, **build.vpc}
    del parameters["DebugHookConfig"]
    with_fields(step, result_selector={"job.$": "$.TrainingJobName", "status.$": "$.TrainingJobStatus"})
    return caught(retried(step), build.on_error)
