"""Preprocess: check and split the data that the run was asked for."""

from pipeline.asl import Intrinsic, State, caught, format_
from pipeline.states.building import EXECUTION, OPT, Building, folder


def preprocess(build: Building, *, superseded: State) -> list[State]:
    """ListData to CheckData, which leave for `superseded` when the data is not that which the run was asked for.

    Preprocess reads the objects that ListData listed and what it wrote of the champion, and fills the run's folders
    train, validation, holdout, labels, champion and baseline, and the quarantine's. It writes the model's signature to
    the bucket's folder, where other runs of the same settings write the same. For an inference pipeline it also writes
    the encoder. On several instances each takes some of the files, and Merge does what needs the rows of all.
    `$.request.data` is the data that was read.
    """
    name = {"execution": Intrinsic(EXECUTION)}
    request = {"fingerprint": "$.request.data.fingerprint", "variant": "$.champion.variant"}
    asked = {**name, **{key: Intrinsic(path) for key, path in request.items()}}
    numbers = ["fingerprint", "objects", "bytes", "newest"]
    listing = build.function("ListData", "ListDataFunction", asked, result_path="$.request.data", results=numbers)
    check = build.function("CheckData", "ListDataFunction", name, result_path=None)
    for step in (listing, check):
        caught(step, superseded, errors=["Superseded"])
    return [listing, *_jobs(build), check]


def _jobs(build: Building) -> list[State]:
    instances, data = build.settings.processing.instance_count, build.settings.data
    parts = ["train", "validation", "holdout", "labels", "champion"]
    output = ["--output", f"{OPT}/output"]
    resources = ["--resources", "/opt/ml/config/resourceconfig.json"] if instances > 1 else []
    encoder = ["encoder"] if data.encoded else []
    step = build.processing(
        "Preprocess",
        "preprocess",
        arguments=["--input", f"{OPT}/input/data", "--listing", f"{OPT}/input/listing", *output, *resources],
        inputs={"data": folder("listing/manifest.json"), "listing": folder("listing")},
        outputs=[*parts, "shards" if instances > 1 else "baseline", *encoder, *build.quarantine],
        kept=["signatures"],
        instances=instances,
        manifest="data",
    )
    if instances == 1:
        return [step]
    inputs = {"run": format_("s3://${DataBucket}/rows/{}/", EXECUTION), "listing": folder("listing")}
    arguments = ["--run", f"{OPT}/input/run", "--listing", f"{OPT}/input/listing", *output]
    merge = build.processing("Merge", "merge", inputs=inputs, outputs=[*parts, "baseline"], arguments=arguments)
    return [step, merge]
