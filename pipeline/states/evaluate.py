"""Evaluate: score the hold-out, compare with the champion on the same rows, and decide by the quality gate."""

from pipeline.asl import (
    Choice,
    ChoiceRule,
    Intrinsic,
    Parallel,
    Pass,
    State,
    TransformStep,
    caught,
    choice,
    format_,
    retried,
)
from pipeline.jobs.shared.metric_names import SECTIONS
from pipeline.states.building import ROWS, ROWS_OF, Building, folder, resource
from pipeline.states.endpoint import NO_CHAMPION
from pipeline.states.model_registry import TUNED, artifact
from pipeline.states.transform import transform


def evaluate(build: Building, *, rejected: State) -> list[State]:
    """ScoreHoldout to QualityGate, which leaves for `rejected`; `$.evaluation.document` is evaluation.json."""
    data = build.settings.data
    names = ["predictions", "labels", "holdout", "champion", "baseline", *(["encoder"] if data.encoded else [])]
    taken = {*ROWS} - {"predictions"}
    inputs = {name: folder(name, ROWS_OF) if name in taken else folder(name) for name in names}
    inputs["model"] = artifact()
    measure = build.processing("Evaluate", "evaluate", inputs=inputs, outputs=["evaluation"])
    known = {"CHAMPION": "$.champion.model"}
    if build.settings.tuning.jobs:  # for evaluation.json and the model card
        known["TUNING_JOB"] = "$.tuning.HyperParameterTuningJobName"
        known["TUNING_HYPERPARAMETERS"] = f"States.JsonToString({TUNED})"
    measure.fields["parameters"]["Environment"] = {name: Intrinsic(path) for name, path in known.items()}
    read = build.read_json("ReadEvaluation", "evaluation/evaluation.json", "$.evaluation")
    return [_score_holdout(build), measure, read, _quality_gate(build, rejected)]


def _score_holdout(build: Building) -> Parallel:
    """ScoreHoldout: the challenger and, if there is a comparable one, the champion score the same rows at once.

    The folder of the hold-out also has the golden rows. Evaluate reads the challenger's answers to them.

    Preprocessing wrote scoring.json if the champion, or one of the settings' own signature, is comparable: where the
    rows are as it reads them. Evaluate fails if that could not be read.
    """
    both = Parallel("ScoreHoldout", result_path=None)
    # Their Catch is the Parallel's; a Retry of the Parallel's own would use its jobs' names again.
    both.add_branch(retried(_score(build, "ScoreChallenger", "score", resource(build.project))))
    nothing = Pass("NoChampion")
    file = "champion/scoring.json"
    find = build.read_json("FindChampionsRows", file, "$.scoring", run=ROWS_OF, on_error=nothing)
    find.next(_score_champion(build))
    both.add_branch(choice("HasLiveModel", NO_CHAMPION, nothing, find))
    return caught(both, build.on_error)


def _score_champion(build: Building) -> TransformStep:
    step = retried(_score(build, "ScoreChampion", "champion", Intrinsic("$.champion.model")))
    request, found = step.fields["parameters"]["TransformInput"], "$.scoring.document"
    uri = format_("s3://${DataBucket}/rows/{}/{}", ROWS_OF, f"{found}.holdout")
    request["DataSource"]["S3DataSource"]["S3Uri"] = uri
    request["ContentType"] = Intrinsic(f"{found}.content_type")
    return step


def _score(build: Building, state_id: str, kind: str, model: Intrinsic) -> TransformStep:
    """Raw rows if there is an encoder, else numbers."""
    return transform(
        build,
        state_id,
        kind,
        model=model,
        size=build.settings.transform,
        content_type="text/csv" if build.settings.data.encoded else "application/jsonlines",
        source=folder("holdout", ROWS_OF),
        target=folder(f"predictions/{state_id.removeprefix('Score').lower()}"),
    )


def _quality_gate(build: Building, rejected: State) -> Choice:
    """Every threshold of the settings' gate and the golden rows' share, in the Choice itself: the console shows each.

    See jobs/evaluate.
    """
    gate, document = build.settings.gate, "$.evaluation.document"
    section = f"{document}.{SECTIONS[build.settings.data.predictor_type]}"
    low = f"{document}.comparison.interval[0]"
    share, endpoint = f"{document}.golden.share", build.settings.endpoint
    golden = [ChoiceRule.NumericGreaterThanEquals(share, endpoint.golden_share)] if endpoint.golden else []
    comparable = ChoiceRule.IsPresent(low, True)
    kept = [
        *(ChoiceRule.NumericGreaterThanEquals(f"{section}.{key}.value", least) for key, least in gate.minimum.items()),
        *(ChoiceRule.NumericLessThanEquals(f"{section}.{key}.value", most) for key, most in gate.maximum.items()),
        *golden,
        ChoiceRule.Or([ChoiceRule.Not(comparable), ChoiceRule.NumericGreaterThanEquals(low, -gate.margin)]),
    ]
    return choice("QualityGate", ChoiceRule.Not(ChoiceRule.And(kept)), rejected)
