"""Train: fit the linear learner on this run's split."""

from pipeline.asl import ChoiceRule, Estimator, State, TrainingInput, TrainingStep, caught, choice, retried, with_fields
from pipeline.states.building import KEY, ROLE, START_UP_SECONDS, Building, folder, job_name, session, volume_key


def train(build: Building) -> list[State]:
    """Train and TrainingCompleted: `$.train` = {job, status}.

    A job that hits MaxRuntimeInSeconds ends Stopped, which is no success whatever `.sync` makes of it.
    """
    size = build.settings.training
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
        max_run=size.max_runtime_minutes * 60,
        hyperparameters={**build.settings.hyperparameters()},
        sagemaker_session=session(),
    )
    step = TrainingStep(
        "Train",
        estimator=estimator,
        job_name=job_name(build.project, "train"),
        data={name: TrainingInput(folder(name), content_type=size.content_type) for name in ("train", "validation")},
        output_data_config_path=folder("model"),
        timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
        result_path="$.train",
    )
    parameters = step.fields["parameters"]
    # The SDK drops these arguments of the Estimator, and adds a hook that writes to the bucket's root.
    parameters |= {"EnableNetworkIsolation": True, "EnableInterContainerTrafficEncryption": True}
    parameters |= {"ProfilerConfig": {"DisableProfiler": True}, **build.vpc}
    del parameters["DebugHookConfig"]
    with_fields(step, result_selector={"job.$": "$.TrainingJobName", "status.$": "$.TrainingJobStatus"})
    stopped = ChoiceRule.Not(ChoiceRule.StringEquals("$.train.status", "Completed"))
    return [caught(retried(step), build.on_error), choice("TrainingCompleted", stopped, build.on_error)]
