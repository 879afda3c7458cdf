"""Batch transform on the local SageMaker, from S3 to S3, beside scikit-learn; and with two instances beside one."""

import io
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from bench import data
from bench.deployment import Deployment
from bench.endpoint import export
from bench.figure import Figure
from bench.jobs import pinned, seconds
from bench.process import YARDSTICKS, BenchError, run
from local.linear_learner import artifact

FILES = 8
PREFIX = "runs/bench"
"""Where the pipeline's role may read and write."""
SCIKIT = "json, scikit-learn's predict_proba"
_numbers = count()


def measure(folder: Path, deployment: Deployment, rows: int, repeats: int) -> Iterator[Figure]:
    """Rows a second of the whole job, the start of its model server included.

    Args:
        folder: For the generated data.
        deployment: With a model of as many features.
        rows: In all files together.
        repeats: Of each measurement, taking turns.
    """
    sagemaker, s3, bucket = deployment.client("sagemaker"), deployment.client("s3"), deployment.outputs["DataBucket"]
    files = [folder / f"transform/{number}.jsonl" for number in range(FILES)]
    for number, file in enumerate(files):
        data.write_lines(file, rows // FILES, seed=number)
        s3.upload_file(str(file), bucket, f"{PREFIX}/holdout/{file.name}")
    name = sagemaker.list_models(SortBy="CreationTime", SortOrder="Descending")["Models"][0]["ModelName"]
    given = _export(sagemaker.describe_model(ModelName=name), s3, folder)
    out, theirs = folder / "scores.jsonl", list[float]()
    plain, one, two = list[float](), list[float](), list[float]()
    for _ in range(repeats):
        plain.append(_job(sagemaker, name, bucket, 1))
        arguments = ("bench.yardsticks.predict_proba", str(given), str(out), *map(str, files))
        theirs.append(run(*arguments, python=YARDSTICKS).seconds)
        if sys.platform == "linux" and len(cores := os.sched_getaffinity(0)) > 1:
            with pinned(deployment.cloud.pid, {min(cores)}):
                one.append(_job(sagemaker, name, bucket, 1))
            single = _written(s3, bucket)
            two.append(_job(sagemaker, name, bucket, 2))
            if _written(s3, bucket) != single:
                raise BenchError("two instances wrote other answers than one")
    yield Figure(f"transform {rows:,} rows", rows / median(plain), "rows/s", SCIKIT, rows / median(theirs), "",
                 "JSON to numbers and back")  # fmt: skip
    if two:
        name = f"transform {rows:,} rows, two instances of a core each"
        limit = "the agent that deals out the records"
        yield Figure(name, rows / median(two), "rows/s", "one instance on one core", rows / median(one),
                     "ratio >= 1.6", limit)  # fmt: skip


def _job(sagemaker: Any, model: str, bucket: str, instances: int) -> float:
    name = f"bench-{os.getpid()}-{next(_numbers)}"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{PREFIX}/holdout/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
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
    while sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"] == "InProgress":
        time.sleep(0.2)
    return seconds(sagemaker, "transform", name)


def _written(s3: Any, bucket: str) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/predictions/")["Contents"]
    return {item["Key"]: item["ETag"] for item in found}


def _export(model: dict[str, Any], s3: Any, folder: Path) -> Path:
    bucket, _, key = model["PrimaryContainer"]["ModelDataUrl"].removeprefix("s3://").partition("/")
    packed = io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder / "model", filter="data")
    export(artifact.read(folder / "model"), folder / "model.npz")
    return folder / "model.npz"
