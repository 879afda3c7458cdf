"""Batch transform on the local SageMaker, from S3 to S3, beside scikit-learn; and two instances beside one."""

import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from local_aws.linear_learner import artifact

from bench import data, machine
from bench.deployment import Deployment
from bench.figures import Figure
from bench.jobs import pinned, run_job
from bench.process import BASELINES, BenchError, in_turn, run, spread
from bench.serving import export

FILES = 8
PARSE = "parsing of its text, all cores"
PREFIX = "runs/bench"
"""The pipeline's role may read and write here."""
SCIKIT = "json, scikit-learn's predict_proba"
_numbers = count()


def measure(folder: Path, deployment: Deployment, rows: int, repeats: int) -> Iterator[Figure]:
    """Rows per second of the whole job, including the start of its model server; `rows` is the sum over all files."""
    sagemaker, s3, bucket = deployment.client("sagemaker"), deployment.client("s3"), deployment.outputs["DataBucket"]
    files = [folder / f"transform/{number}.jsonl" for number in range(FILES)]
    for number, file in enumerate(files):
        data.write_lines(file, rows // FILES, seed=number)
        s3.upload_file(str(file), bucket, f"{PREFIX}/holdout/{file.name}")
    name = _newest_model(sagemaker)
    package = sagemaker.describe_model(ModelName=name)["Containers"][0]["ModelPackageName"]
    described = sagemaker.describe_model_package(ModelPackageName=package)["InferenceSpecification"]
    model, out = _download(described["Containers"][0], s3, folder), folder / "scores.jsonl"
    baseline = ("bench.baselines.transform_scikit_learn", str(model), str(out), *map(str, files))
    cores = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    written = []

    def on_one_core() -> float:
        with pinned(deployment.cloud.pid, {min(cores)}):
            took = _run(sagemaker, name, bucket, 1)
        written.append(_written(s3, bucket))
        return took

    def on_two_instances() -> float:
        took = _run(sagemaker, name, bucket, 2)
        if _written(s3, bucket) != written[-1]:
            raise BenchError("two instances wrote other answers than one")
        return took

    calls: dict[str, Callable[[], float]] = {
        "plain": lambda: _run(sagemaker, name, bucket, 1),
        "scikit": lambda: run(*baseline, python=BASELINES).seconds,
    }
    if len(cores) > 1:
        calls |= {"one": on_one_core, "two": on_two_instances}
    turns = in_turn(repeats, calls)
    rates = {call: rows / min(values) for call, values in turns.items()}
    parse = 1e6 * machine.parse_speed(folder) * rows / sum(file.stat().st_size for file in files)
    title, apart = f"transform {rows:,} rows", spread(turns["scikit"], turns["plain"])
    yield Figure(title, rates["plain"], "rows/s", SCIKIT, rates["scikit"], "", PARSE, parse, apart)
    if "two" in rates:
        title, alone = f"{title}, two instances of a core each", "one instance on one core"
        apart = spread(turns["one"], turns["two"])
        yield Figure(title, rates["two"], "rows/s", alone, rates["one"], "ratio >= 1.6", PARSE, parse, apart)


def measure_file(folder: Path, deployment: Deployment, rows: int) -> Iterator[Figure]:
    """Rows per second of `ops score`, from the start of the command to the answers in S3, beside a transform job alone.

    The job scores the same rows as JSON lines. Raises BenchError: a row has no score.
    """
    file, names = folder / "score.csv", deployment.settings.data.features
    data.write_features(file, rows, names)
    sagemaker, s3, bucket = deployment.client("sagemaker"), deployment.client("s3"), deployment.outputs["DataBucket"]
    started = time.monotonic()
    document = json.loads(deployment.ops("score", str(file), "--json"))
    seconds = time.monotonic() - started
    if (document["rows"], document["wrong"]) != (rows, 0):
        raise BenchError(f"{rows} rows were to be scored: {document}")
    lines = folder / "score.jsonl"
    data.write_lines(lines, rows, seed=0)
    s3.upload_file(str(lines), bucket, f"{PREFIX}/file/{lines.name}")
    alone = rows / _run(sagemaker, _newest_model(sagemaker), bucket, 1, "file")
    parse = 1e6 * machine.parse_speed(folder) * rows / file.stat().st_size
    title, baseline = f"score a file of {rows:,} rows", "its transform job alone"
    yield Figure(title, rows / seconds, "rows/s", baseline, alone, "ratio >= 0.8", PARSE, parse)


def _newest_model(sagemaker: Any) -> str:
    return str(sagemaker.list_models(SortBy="CreationTime", SortOrder="Descending")["Models"][0]["ModelName"])


def _run(sagemaker: Any, model: str, bucket: str, instances: int, folder: str = "holdout") -> float:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{PREFIX}/{folder}/"}}
    return run_job(
        sagemaker,
        "transform",
        f"bench-{os.getpid()}-{next(_numbers)}",
        ModelName=model,
        BatchStrategy="MultiRecord",
        TransformInput={"DataSource": source, "ContentType": "application/jsonlines", "SplitType": "Line"},
        TransformOutput={
            "S3OutputPath": f"s3://{bucket}/{PREFIX}/predictions",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": instances},
    )


def _written(s3: Any, bucket: str) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/predictions/")["Contents"]
    return {item["Key"]: item["ETag"] for item in found}


def _download(container: dict[str, Any], s3: Any, folder: Path) -> Path:
    bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    packed = io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder / "model", filter="data")
    export(artifact.read(folder / "model"), folder / "model.npz")
    return folder / "model.npz"
