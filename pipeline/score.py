"""The score machine, top to bottom as its diagram reads: the live model scores uploaded files, to scored/."""

from pipeline.asl import ChoiceRule, Definition, Intrinsic, Pass, State, caught, choice, format_, rendered, retried
from pipeline.config import Settings
from pipeline.states.building import EXECUTION, OPT, Building, folder, resource, run_of
from pipeline.states.endpoint import find_champion
from pipeline.states.executions import DEADLINE_HOURS, fail, finish
from pipeline.states.model_registry import create_model
from pipeline.states.transform import transform

NOTHING = {"document": {"rows": 0, "wrong": 0, "files": []}}
KIND = "batch"
"""Is in the name of the machine's model: deployments, which clean up, know it from those of the endpoint."""
PACKAGE = "$.champion.package"


def definition(settings: Settings, partition: str = "aws") -> Definition:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    An execution ends Succeeded with `score.document` = {rows, wrong, files}. It goes on with the package that was live
    when it began. It needs no lease, as it does not touch the endpoint.
    """
    failed = fail("score")
    build = Building(settings, on_error=failed)
    finished = finish("score", failed)
    nothing = Pass("NothingToScore", result=NOTHING, result_path="$.score")
    nothing.next(finished)
    states = [
        find_champion(build, package=True),
        _list_files(build),
        choice("HasFiles", ChoiceRule.NumericEquals("$.listing.files", 0), nothing),
        _prepare(build),
        create_model(build, [{"ModelPackageName": Intrinsic(PACKAGE)}], KIND),
        *_score(build),
        *_join(build),
        build.read_json("ReadCounts", "counts/counts.json", "$.score"),
        finished,
    ]
    return rendered(states, f"Scores files by the live model of {build.project}", DEADLINE_HOURS * 3600, partition)


def _list_files(build: Building) -> State:
    """ListFiles: the file of the input, or those that are new; `$.listing.files` is their number."""
    given = {"input": Intrinsic("$$.Execution.Input"), "champion": Intrinsic("$.champion")}
    payload = {"execution": Intrinsic(EXECUTION), **given}
    return build.function("ListFiles", "ListFilesFunction", payload, result_path="$.listing", results=["files"])


def _prepare(build: Building) -> State:
    """Prepare: the rows as the model reads them, and their ids."""
    return build.processing(
        "Prepare",
        "prepare",
        inputs={"data": folder("request/manifest.json"), "request": folder("request")},
        outputs=["batch", "ids", *build.quarantine],
        arguments=["--input", f"{OPT}/input/data", "--request", f"{OPT}/input/request", "--output", f"{OPT}/output"],
        manifest="data",
        size=build.settings.score,
    )


def _score(build: Building) -> list[State]:
    """Score to Scored, which fails if Score did: the model is deleted in any case."""
    model, size = resource(build.project, KIND), build.settings.score
    source, target = folder("batch"), folder("answers")
    step = transform(
        build, "Score", KIND, model=model, size=size, content_type="text/csv", source=source, target=target
    )
    scored = choice("Scored", ChoiceRule.IsPresent("$.error", True), build.on_error)
    fields = {"on_error": scored, "error_path": "$.cleanup_error"}
    delete = build.call("DeleteModel", "deleteModel", {"ModelName": model}, **fields)
    return [caught(retried(step), delete), delete, scored]


def _join(build: Building) -> list[State]:
    """Join: the answers beside the ids, with contributions by what the run of the model has written about it."""
    inputs = {"request": folder("request"), "ids": folder("ids"), "answers": folder("answers")}
    describe = []
    if build.settings.score.contributions:
        package = {"ModelPackageName": Intrinsic(PACKAGE)}
        select = {"run.$": run_of("$.CustomerMetadataProperties.execution")}
        describe = [
            build.call("DescribePackage", "describeModelPackage", package, result_path="$.package", select=select)
        ]
        explanation = format_("s3://${DataBucket}/runs/{}/evaluation/explanation.json", "$.package.run")
        inputs |= {"batch": folder("batch"), "explanation": explanation}
    given = [part for name in inputs for part in (f"--{name}", f"{OPT}/input/{name}")]
    step = build.processing(
        "Join",
        "join",
        inputs=inputs,
        outputs=["counts"],
        kept=["scored"],
        arguments=[*given, "--output", f"{OPT}/output"],
        size=build.settings.score,
    )
    return [*describe, step]
