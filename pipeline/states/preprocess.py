"""Preprocess: check and split the data."""

from pipeline import resource_names
from pipeline.asl import State
from pipeline.states.building import OPT, Building


def preprocess(build: Building) -> list[State]:
    """Preprocess: fills the run's folders train, validation, holdout, labels and baseline, and the quarantine's.

    On several instances each takes some of the files, and Merge does what needs the rows of all.
    """
    settings = build.settings
    several = settings.processing.instance_count > 1
    limit = settings.data.bad_rows
    parts = ["train", "validation", "holdout", "labels"]
    arguments = ["preprocess", "--input", f"{OPT}/input/data", "--output", f"{OPT}/output"]
    step = build.processing(
        "Preprocess",
        kind="preprocess",
        arguments=[*arguments, *(["--resources", "/opt/ml/config/resourceconfig.json"] if several else [])],
        inputs={"data": f"s3://${{DataBucket}}/{settings.data.prefix}"},
        outputs=[
            *parts,
            "shards" if several else "baseline",
            *(["quarantine"] if limit.count or limit.share else []),
        ],
        instances=settings.processing.instance_count,
    )
    if not several:
        return [step]
    merge = build.processing(
        "Merge",
        kind="merge",
        arguments=["merge", "--run", f"{OPT}/input/run", "--output", f"{OPT}/output"],
        inputs={"run": resource_names.folder("")},
        outputs=[*parts, "baseline"],
    )
    return [step, merge]
