"""Preprocess: check and split the data."""

from pipeline import resource_names
from pipeline.asl import State
from pipeline.states.building import OPT, Building


def preprocess(build: Building) -> list[State]:
    """Preprocess: fills the run's folders train, validation, holdout, labels and baseline, and the quarantine's.

    On several instances each takes some of the files, and Merge does what needs the rows of all.
    """
    settings = build.settings
    instances, limit = settings.processing.instance_count, settings.data.bad_rows
    parts = ["train", "validation", "holdout", "labels"]
    output = ["--output", f"{OPT}/output"]
    resources = ["--resources", "/opt/ml/config/resourceconfig.json"] if instances > 1 else []
    quarantine = ["quarantine"] if limit.count or limit.share else []
    step = build.processing(
        "Preprocess",
        ["preprocess", "--input", f"{OPT}/input/data", *output, *resources],
        inputs={"data": f"s3://${{DataBucket}}/{settings.data.prefix}"},
        outputs=[*parts, "shards" if instances > 1 else "baseline", *quarantine],
        instances=instances,
    )
    if instances == 1:
        return [step]
    merge = build.processing(
        "Merge",
        ["merge", "--run", f"{OPT}/input/run", *output],
        inputs={"run": resource_names.folder("")},
        outputs=[*parts, "baseline"],
    )
    return [step, merge]
