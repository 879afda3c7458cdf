"""The whole workflow on more and more rows, deployed on the local AWS: time and peak memory of each job.

bench/pipeline.toml is what runs. Each size has the files of the one before, and more; its endpoint is deleted first,
so that every run does what a first run does. Writes build/growth.json: a line a job and size; `run` is from the last
upload to a prediction, its CPU and memory being those of the local AWS itself.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench import data
from bench.deployment import Deployment, deploying
from bench.figure import Figure
from bench.jobs import NOUNS, Watch, peak, seconds
from bench.process import PROJECT

REPEATED, REPEATS = 1_000_000, 3
"""Rows that the largest size is compared with, and how often, before it and after it: a run of them is brief, and the
machine has its moments."""
TURNS, TURNS_SECONDS = 5, 45
"""How often a job of the largest size is run at the most; none is begun anew after so long."""
FILE_ROWS = 900_000
"""About 265 MB."""
MEMORY_MB, BUFFERS = 1024, "its buffers"
BYTES_A_ROW = 1500
"""On disk at the most: uploaded, copied into a job, spilled, split, and split once more in S3."""
LIMITS = {
    "preprocess": "parsing and writing numbers as text",
    "train": "parsing, then matrix products",
    "score": "JSON to numbers and back",
    "evaluate": "JSON to numbers",
    "run": "its jobs",
}


@dataclass(frozen=True)
class Point:
    """A job at a size."""

    rows: int
    job: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(folder: Path, sizes: tuple[int, ...], name: str) -> Iterator[Figure]:
    """The largest of `sizes` beside 1,000,000 rows, or else the smallest; `name` is that of the JSON."""
    low, high = REPEATED if REPEATED in sizes else sizes[0], sizes[-1]
    taken: dict[int, list[Point]] = {rows: [] for rows in sizes}
    with deploying(PROJECT / "bench/pipeline.toml", home=folder / "aws") as deployment:
        for before, rows in pairwise((0, *sizes)):
            _upload(deployment, folder, before, rows)
            for turn in range(REPEATS if rows == REPEATED else 1):
                taken[rows] += _run(deployment, rows, again=turn > 0)
        if low == REPEATED:
            for job in NOUNS:
                _repeat(deployment, job, taken[high])
            _withdraw(deployment, low)
            for _ in range(REPEATS):
                taken[low] += _run(deployment, low, again=True)
    at = {(job, rows): _least_disturbed(job, of_size) for rows, of_size in taken.items() for job in (*NOUNS, "run")}
    points = list(at.values())
    (PROJECT / "build" / name).write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n")
    for job in (*NOUNS, "run"):
        last, first = at[job, high], at[job, low]
        each, then = 1e6 * last.seconds / high, 1e6 * first.seconds / low
        what, that = f"{job}, {high:,} rows", f"the same at {low:,}"
        yield Figure(f"{what}, time a row", each, "us", that, then, "ratio <= 1.2", LIMITS[job])
        if job != "run":
            goal = f"value < {MEMORY_MB}"
            yield Figure(f"{what}, peak memory", last.peak_mb, "MB", that, first.peak_mb, goal, BUFFERS, any_size=True)
    yield Figure("the local AWS itself, peak memory", at["run", high].peak_mb, "MB", limit=BUFFERS)
    yield Figure(f"the whole run, {high:,} rows", at["run", high].seconds, "s", limit=LIMITS["run"])


def _upload(deployment: Deployment, folder: Path, done: int, rows: int) -> None:
    """Make and upload the files of rows `done` to `rows`, a process a core making them."""
    parts = [(start, min(FILE_ROWS, rows - start)) for start in range(done, rows, FILE_ROWS)]
    files = [folder / _name(start) for start, _ in parts]
    s3, bucket = deployment.client("s3"), deployment.outputs["DataBucket"]
    with ProcessPoolExecutor(2) as pool:
        written = [pool.submit(data.write_raw, file, *part[::-1]) for file, part in zip(files, parts, strict=True)]
        for file, one in zip(files, written, strict=True):
            one.result()
            s3.upload_file(str(file), bucket, f"raw/{file.name}")
            file.unlink()


def _withdraw(deployment: Deployment, kept: int) -> None:
    """Delete the files of all rows but the first."""
    s3, bucket = deployment.client("s3"), deployment.outputs["DataBucket"]
    for found in s3.list_objects_v2(Bucket=bucket, Prefix="raw/raw-")["Contents"]:
        if found["Key"] >= f"raw/{_name(kept)}":
            s3.delete_object(Bucket=bucket, Key=found["Key"])


def _name(start: int) -> str:
    return f"raw-{start:09}.csv"


def _run(deployment: Deployment, rows: int, *, again: bool) -> list[Point]:
    """What a run on all that is uploaded takes, `again` on the same."""
    deployment.forget_model()
    # What was just uploaded is on its way to the disk; that is not to be measured.
    os.sync()
    server, started = psutil.Process(deployment.cloud.pid), time.monotonic()
    before = server.cpu_times()
    with Watch(deployment.cloud.pid) as watch:
        if again:
            deployment.ops("retrain", "--force")
        else:
            deployment.client("s3").put_object(Bucket=deployment.outputs["DataBucket"], Key="raw/_SUCCESS", Body=b"")
        deployment.ops("watch")
        deployment.ops("predict")
        took = time.monotonic() - started
    after = server.cpu_times()
    points = [_point(deployment, watch, rows, job, _newest(deployment, job)) for job in NOUNS]
    busy = after.user + after.system - before.user - before.system
    return [*points, Point(rows, "run", took, busy, peak(deployment.cloud.pid))]


def _repeat(deployment: Deployment, job: str, taken: list[Point]) -> None:
    """Run a job of the newest run again, as its state would retry it, and add what that takes."""
    (done,) = [point for point in taken if point.job == job]
    turns = [done.seconds]
    sagemaker, first, noun = deployment.client("sagemaker"), _newest(deployment, job), NOUNS[job]
    title = noun.title()
    found = getattr(sagemaker, f"describe_{noun}_job")(**{f"{title}JobName": first})
    asked = sagemaker.meta.service_model.operation_model(f"Create{title}Job").input_shape.members
    request = {key: found[key] for key in asked if key in found}
    # Told of a built-in algorithm, and refused when asked for.
    request.get("AlgorithmSpecification", {}).pop("MetricDefinitions", None)
    while len(turns) < TURNS and sum(turns) < TURNS_SECONDS:
        named = {f"{title}JobName": f"{first.removesuffix('0')}{len(turns)}"}
        with Watch(deployment.cloud.pid) as watch:
            getattr(sagemaker, f"create_{noun}_job")(**request | named)
            sagemaker.get_waiter(f"{noun}_job_completed_or_stopped").wait(**named, WaiterConfig={"Delay": 1})
        taken.append(_point(deployment, watch, done.rows, job, *named.values()))
        turns.append(taken[-1].seconds)


def _point(deployment: Deployment, watch: Watch, rows: int, job: str, name: str) -> Point:
    use = watch.of(name)
    return Point(rows, job, seconds(deployment.client("sagemaker"), NOUNS[job], name), use.cpu, use.peak)


def _least_disturbed(job: str, taken: list[Point]) -> Point:
    """The fastest of a job's turns at a size, with the most memory that any had; the local AWS's own never shrinks."""
    turns = [point for point in taken if point.job == job]
    peaks = [point.peak_mb for point in turns]
    return replace(min(turns, key=lambda point: point.seconds), peak_mb=peaks[0] if job == "run" else max(peaks))


def _newest(deployment: Deployment, job: str) -> str:
    """The name of a job of the newest run: it holds the MD5 of the run's (pipeline/names.py)."""
    states: Any = deployment.client("stepfunctions")
    machine = deployment.outputs["StateMachine"]
    newest = states.list_executions(stateMachineArn=machine)["executions"][0]
    run = hashlib.md5(newest["name"].encode(), usedforsecurity=False).hexdigest()
    return f"{deployment.settings.project.name}-{job}-{run}-0"
