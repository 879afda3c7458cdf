"""Evaluate: score the hold-out, compute the metrics, and decide by the gate."""

from sagemaker.transformer import Transformer

from pipeline import names
from pipeline.asl import Choice, ChoiceRule, Intrinsic, State, Task, TransformStep, format_
from pipeline.config import Settings
from pipeline.states.common import KEY, OPT, START_UP_SECONDS, Building

METRICS_KEY = {
    "binary_classifier": "binary_classification_metrics",
    "multiclass_classifier": "multiclass_classification_metrics",
    "regressor": "regression_metrics",
}
"""Where evaluation.json keeps the metrics: the model-quality schema of SageMaker Model Monitor."""


def evaluate(build: Building, *, rejected: State) -> list[State]:
    """ScoreHoldout, Evaluate, ReadEvaluation and QualityGate, which leaves for `rejected` when a bound is broken."""
    evaluation = build.processing(
        "Evaluate",
        kind="evaluate",
        arguments=["evaluate", "--predictions", f"{OPT}/input/predictions", "--labels", f"{OPT}/input/labels",
                   "--output", f"{OPT}/output/evaluation"],
        inputs={"predictions": names.folder("predictions"), "labels": names.folder("labels")},
        outputs=["evaluation"],
    )  # fmt: skip
    return [_score(build), evaluation, _read(build), _gate(build.settings, rejected)]


def _score(build: Building) -> TransformStep:
    """JSON Lines in and out: the linear learner has no CSV answers."""
    size = build.settings.transform
    transformer = Transformer(
        model_name="filled by the step",
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="application/jsonlines",
        output_path="s3://${DataBucket}",
        output_kms_key=KEY,
        volume_kms_key=KEY,
        sagemaker_session=build.session,
    )
    step = TransformStep(
        "ScoreHoldout",
        transformer=transformer,
        job_name=names.job(build.settings.project.name, "score"),
        model_name=names.RESOURCE,
        data="s3://${DataBucket}",
        content_type="application/jsonlines",
        split_type="Line",
        timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
        parameters={
            "TransformInput": {"DataSource": {"S3DataSource": {"S3Uri": names.folder("holdout")}}},
            "TransformOutput": {"S3OutputPath": names.folder("predictions")},
        },
        result_path="$.score",
        result_selector={"job": Intrinsic("$.TransformJobName")},
    )
    build.guard(step)
    return step


def _read(build: Building) -> Task:
    """evaluation.json into the run's state, without a Lambda: the aws-sdk integration answers Body as a string."""
    step = Task(
        "ReadEvaluation",
        resource="arn:aws:states:::aws-sdk:s3:getObject",
        parameters={
            "Bucket": "${DataBucket}",
            "Key": format_("runs/{}/evaluation/evaluation.json", names.EXECUTION),
        },
        timeout_seconds=60,
        result_path="$.evaluation",
        result_selector={"metrics": Intrinsic("States.StringToJson($.Body)")},
    )
    build.guard(step)
    return step


def _gate(settings: Settings, rejected: State) -> Choice:
    """Every bound of the settings' gate, in the Choice itself: a threshold can be read in the console."""
    metrics = f"$.evaluation.metrics.{METRICS_KEY[settings.data.predictor_type]}"
    kept = [
        ChoiceRule.NumericGreaterThanEquals(f"{metrics}.{name}.value", bound)
        for name, bound in settings.gate.minimum.items()
    ] + [
        ChoiceRule.NumericLessThanEquals(f"{metrics}.{name}.value", bound)
        for name, bound in settings.gate.maximum.items()
    ]
    gate = Choice("QualityGate")
    gate.add_choice(ChoiceRule.Not(ChoiceRule.And(kept)), rejected)
    return gate
