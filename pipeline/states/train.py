"""Train: fit the linear learner on this run's split."""

from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput

from pipeline import names
from pipeline.asl import Choice, ChoiceRule, Intrinsic, State, TrainingStep
from pipeline.states.common import KEY, ROLE, START_UP_SECONDS, Building, session
from pipeline.states.registry import create_model


def train(build: Building) -> list[State]:
    """Train, and CreateModel of what it made, named `$.run.resource`."""
    stopped = _stopped(build)
    return [_train(build, stopped), _check_training(stopped), create_model(build)]


def _train(build: Building, stopped: State) -> TrainingStep:
    size = build.settings.training
    channels = {
        channel: TrainingInput(names.folder(channel), content_type=size.content_type)
        for channel in ("train", "validation")
    }
    estimator = Estimator(
        image_uri="${TrainingImage}",
        role=ROLE,
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        volume_size=size.volume_gb,
        volume_kms_key=KEY,
        output_kms_key=KEY,
        output_path="s3://${DataBucket}",
        input_mode=size.input_mode,
        max_run=size.max_runtime_minutes * 60,
        encrypt_inter_container_traffic=True,
        enable_network_isolation=True,
        disable_profiler=True,
        hyperparameters={**build.settings.hyperparameters()},
        sagemaker_session=session(),
    )
    step = TrainingStep(
        "Train",
        estimator=estimator,
        job_name=names.job(build.settings.project.name, "train"),
        data=channels,
        output_data_config_path=names.folder("model"),
        timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
        result_path="$.train",
        result_selector={
            "job": Intrinsic("$.TrainingJobName"),
            "status": Intrinsic("$.TrainingJobStatus"),
        },
    )
    step.fields["parameters"] |= build.vpc
    build.guard(step)
    cut_off = Choice("TrainingCutOff")
    cut_off.add_choice(ChoiceRule.StringMatches("$.error.Cause", '*"MaxRuntimeExceeded"*'), stopped)
    cut_off.default_choice(build.on_error)
    step.catches[0].next_step = cut_off
    return step


def _stopped(build: Building) -> State:
    return build.failure(
        "TrainingStopped",
        "The training job of {} was stopped: raise training.max_runtime_minutes or train on less data.",
        "$.run.name",
    )


def _check_training(stopped: State) -> Choice:
    """A job that hits MaxRuntimeInSeconds ends Stopped, which is not success whatever `.sync` makes of it."""
    completed = Choice("TrainingCompleted")
    completed.add_choice(ChoiceRule.Not(ChoiceRule.StringEquals("$.train.status", "Completed")), stopped)
    return completed
