"""Prepare: name the run, see what is asked of it, and check and split the data."""

from typing import Any

from pipeline import names
from pipeline.asl import Choice, ChoiceRule, Intrinsic, Pass, State
from pipeline.states.common import OPT, Building

REQUEST: dict[str, Any] = {
    "reason": "manual",
    "data": {"fingerprint": "none", "objects": 0, "bytes": 0, "newest": ""},
    "settings": "none",
    "commit": "none",
    "model_package": "",
}
"""What a run that was started by hand, with any input or none, is taken to ask for."""
NOTHING_YET: dict[str, Any] = {
    "package": {"arn": ""},
    "evaluation": {"metrics": {"decision": {"reason": "no model was trained, so none was evaluated"}}},
    "outcome": "failed",
    "untidy": {},
    "alarms": {"names": []},
    "cause": {"ExitMessage": "", "FailureReason": "", "errorMessage": ""},
}
"""What is told of a run that does not come so far."""


def name_run(build: Building) -> list[State]:
    """NameRun and ReadRequest: `$.run` and `$.request`, whatever the input was."""
    project = build.settings.project.name
    name = Pass(
        "NameRun",
        parameters={"run": names.run(project), "defaults": REQUEST, "input": Intrinsic("$"), **NOTHING_YET},
    )
    read = Pass(
        "ReadRequest",
        parameters={
            "run": Intrinsic("$.run"),
            "request": Intrinsic("States.JsonMerge($.defaults, $.input, false)"),
            **{key: Intrinsic(f"$.{key}") for key in NOTHING_YET},
        },
    )
    return [name, read]


def wants_release(package: State) -> Choice:
    """To `package` when a model package is asked for by its ARN; else on, to training."""
    asked = Choice("WantsRelease")
    asked.add_choice(ChoiceRule.StringGreaterThan("$.request.model_package", ""), package)
    return asked


def preprocess(build: Building) -> list[State]:
    """Preprocess: fills the run's folders train, validation, holdout, labels and baseline, and the quarantine's.

    On several instances each takes some of the files, and Merge does what needs the rows of all.
    """
    settings = build.settings
    count = settings.processing.instance_count
    budget = settings.data.bad_rows
    parts = ["train", "validation", "holdout", "labels"]
    prepare = build.processing(
        "Preprocess",
        kind="preprocess",
        arguments=[
            *("preprocess", "--input", f"{OPT}/input/data", "--output", f"{OPT}/output"),
            *(["--resources", "/opt/ml/config/resourceconfig.json"] if count > 1 else []),
        ],
        inputs={"data": f"s3://${{DataBucket}}/{settings.data.prefix}"},
        outputs=[
            *parts,
            "shards" if count > 1 else "baseline",
            *(["quarantine"] if budget.count or budget.share else []),
        ],
        instances=count,
    )
    if count == 1:
        return [prepare]
    merge = build.processing(
        "Merge",
        kind="merge",
        arguments=["merge", "--run", f"{OPT}/input/run", "--output", f"{OPT}/output"],
        inputs={"run": names.folder("")},
        outputs=[*parts, "baseline"],
    )
    return [prepare, merge]
