"""Preprocess: check and split the data."""

from pipeline.asl import State
from pipeline.states.building import OPT, Building, folder


def preprocess(build: Building) -> list[State]:
    """Preprocess: fills the run's folders train, validation, holdout, labels and baseline, and the quarantine's.

    It writes the model's signature to the bucket's folder, where other runs of the same settings write the same.
    It reads the data and what ListData wrote of it. For an inference pipeline it also writes the encoder. On several
    instances each takes some of the files, and Merge does what needs the rows of all.
    """
    instances, data = build.settings.processing.instance_count, build.settings.data
    parts = ["train", "validation", "holdout", "labels"]
    output = ["--output", f"{OPT}/output"]
    resources = ["--resources", "/opt/ml/config/resourceconfig.json"] if instances > 1 else []
    quarantine = ["quarantine"] if data.bad_rows.count or data.bad_rows.share else []
    encoder = ["encoder"] if data.encoded else []
    step = build.processing(
        "Preprocess",
        "preprocess",
        arguments=["--input", f"{OPT}/input/data", "--listing", f"{OPT}/input/listing", *output, *resources],
        inputs={"data": f"s3://${{DataBucket}}/{data.prefix}", "listing": folder("listing")},
        outputs=[*parts, "shards" if instances > 1 else "baseline", *encoder, *quarantine],
        kept=["signatures"],
        instances=instances,
    )
    if instances == 1:
        return [step]
    inputs, arguments = {"run": folder("")}, ["--run", f"{OPT}/input/run", *output]
    merge = build.processing("Merge", "merge", inputs=inputs, outputs=[*parts, "baseline"], arguments=arguments)
    return [step, merge]
