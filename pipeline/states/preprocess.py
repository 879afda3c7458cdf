"""Preprocess: check and split the data that the run was asked for."""

from typing import Any

from pipeline.asl import ChoiceRule, Intrinsic, State, caught, choice, format_
from pipeline.states.building import EXECUTION, OPT, Building, folder


def preprocess(build: Building, *, superseded: State, then: State) -> list[State]:
    """ListData to CheckData, which leave for `superseded` when the data is not that which the run was asked for.

    If an earlier run preprocessed the same, IsPreprocessed leaves for `then`, the state after CheckData.

    Preprocess reads the objects that ListData listed and what it wrote of the champion, and fills the run's folders
    train, validation, holdout, labels, champion and baseline, and the quarantine's. It writes the model's signature to
    the bucket's folder, where other runs of the same settings write the same. For an inference pipeline it also writes
    the encoder. On several instances each takes some of the files, and Merge does what needs the rows of all.
    `$.request.data` is the data that was read, and its `rows` say whose rows the later states read.
    """
    data = "$.request.data"
    request = {"fingerprint": f"{data}.fingerprint", "variant": "$.champion.variant", "force": "$.request.force"}
    results = ["fingerprint", "objects", "bytes", "newest", "rows"]
    listing = _list(build, "ListData", request, result_path=data, results=results)
    found = choice("IsPreprocessed", ChoiceRule.BooleanEquals(f"{data}.rows.found", True), then)
    check = _list(build, "CheckData", {"key": f"{data}.rows.key"}, result_path=None)
    for step in (listing, check):
        caught(step, superseded, errors=["Superseded"])
    return [listing, found, *_jobs(build), check]


def _list(build: Building, state_id: str, asked: dict[str, str], **fields: Any) -> State:
    paths = {"execution": EXECUTION, **asked}
    payload = {name: Intrinsic(path) for name, path in paths.items()}
    return build.function(state_id, "ListDataFunction", payload, **fields)


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
