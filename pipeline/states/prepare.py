"""Prepare: name the run, check the data and split it."""

from pipeline import names
from pipeline.asl import Pass, State
from pipeline.states.common import OPT, Building


def prepare(build: Building) -> list[State]:
    """NameRun and Preprocess, which fills the run's folders train, validation, holdout, labels and baseline."""
    name_run = Pass("NameRun", parameters={"run": names.run(build.settings.project.name), "polls": {"count": 0}})
    preprocess = build.processing(
        "Preprocess",
        kind="preprocess",
        arguments=["preprocess", "--input", f"{OPT}/input/data", "--output", f"{OPT}/output"],
        inputs={"data": f"s3://${{DataBucket}}/{build.settings.data.prefix}"},
        outputs=["train", "validation", "holdout", "labels", "baseline"],
    )
    return [name_run, preprocess]
