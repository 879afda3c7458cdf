"""Evaluate: score the hold-out, compare with the champion on the same rows, and decide by the gate."""

from typing import Any

from sagemaker.transformer import Transformer

from pipeline import names
from pipeline.asl import Choice, ChoiceRule, Intrinsic, Parallel, State, Task, TransformStep, caught, format_, retried
from pipeline.states.champion import NONE
from pipeline.states.common import KEY, OPT, START_UP_SECONDS, Building, session

METRICS_KEY = {
    "binary_classifier": "binary_classification_metrics",
    "multiclass_classifier": "multiclass_classification_metrics",
    "regressor": "regression_metrics",
}
"""Where evaluation.json keeps the metrics: the model-quality schema of SageMaker Model Monitor."""
METRICS = "$.evaluation.metrics"


def evaluate(build: Building, *, rejected: State) -> list[State]:
    """HasChampion to QualityGate, which leaves for `rejected` when a bound is broken.

    Without a champion: ScoreHoldout, Evaluate. With one: both models score the hold-out in parallel (ScoreBoth), and
    Compare measures them on the same rows.
    """
    read = _read(build)
    alone = _score(build, "ScoreHoldout", "score", names.RESOURCE, "predictions")
    build.guard(alone)
    measure = _measure(build, "Evaluate", "evaluate", {})
    alone.next(measure)
    measure.next(read)

    both = Parallel("ScoreBoth", result_path=None)
    # Their Catch is the Parallel's; a Retry of the Parallel's own would use its jobs' names again.
    both.add_branch(retried(_score(build, "ScoreChallenger", "score", names.RESOURCE, "predictions")))
    both.add_branch(retried(_score(build, "ScoreChampion", "champion", Intrinsic("$.champion.model"), "champion")))
    caught(both, build.on_error)
    compare = _measure(build, "Compare", "compare", {"champion": names.folder("champion")})
    both.next(compare)

    has_champion = Choice("HasChampion")
    has_champion.add_choice(ChoiceRule.StringEquals("$.champion.model", NONE), alone)
    return [has_champion, both, compare, read, _gate(build, rejected)]


def _measure(build: Building, state_id: str, kind: str, champion: dict[str, Intrinsic]) -> State:
    folders = {"predictions": names.folder("predictions"), "labels": names.folder("labels"), **champion}
    arguments = [part for name in folders for part in (f"--{name}", f"{OPT}/input/{name}")]
    return build.processing(
        state_id,
        kind=kind,
        arguments=["evaluate", *arguments, "--output", f"{OPT}/output/evaluation"],
        inputs=dict(folders),
        outputs=["evaluation"],
    )


def _score(build: Building, state_id: str, kind: str, model: Intrinsic, folder: str) -> TransformStep:
    """JSON Lines in and out: the linear learner has no CSV answers."""
    size = build.settings.transform
    transformer = Transformer(
        model_name="filled-by-the-step",
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="application/jsonlines",
        output_path="s3://${DataBucket}",
        output_kms_key=KEY,
        volume_kms_key=KEY,
        sagemaker_session=session(),
    )
    return TransformStep(
        state_id,
        transformer=transformer,
        job_name=names.job(build.settings.project.name, kind),
        model_name=model,
        data="s3://${DataBucket}",
        content_type="application/jsonlines",
        split_type="Line",
        timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
        parameters={
            "TransformInput": {"DataSource": {"S3DataSource": {"S3Uri": names.folder("holdout")}}},
            "TransformOutput": {"S3OutputPath": names.folder(folder)},
        },
        result_path=f"$.{kind}",
        result_selector={"job": Intrinsic("$.TransformJobName")},
    )


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


def _gate(build: Building, rejected: State) -> Choice:
    """Every bound of the settings' gate, in the Choice itself: a threshold can be read in the console.

    The challenger is not worse than the champion when the paired difference's interval, in which larger is better for
    the challenger, ends above minus the margin: a non-inferiority test at the gate's confidence.
    """
    gate = build.settings.gate
    section = f"{METRICS}.{METRICS_KEY[build.settings.data.predictor_type]}"
    kept: list[Any] = [
        ChoiceRule.NumericGreaterThanEquals(f"{section}.{name}.value", bound) for name, bound in gate.minimum.items()
    ]
    kept += [ChoiceRule.NumericLessThanEquals(f"{section}.{name}.value", bound) for name, bound in gate.maximum.items()]
    low = f"{METRICS}.comparison.interval[0]"
    alone = ChoiceRule.Not(ChoiceRule.IsPresent(low, True))
    kept.append(ChoiceRule.Or([alone, ChoiceRule.NumericGreaterThanEquals(low, -gate.margin)]))
    choice = Choice("QualityGate")
    choice.add_choice(ChoiceRule.Not(ChoiceRule.And(kept)), rejected)
    return choice
