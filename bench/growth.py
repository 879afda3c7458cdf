"""The workflow on more and more rows, deployed on the local AWS: time and peak memory of each job.

The pipeline is that of bench/pipeline.toml. Each size adds files to those of the size before. The endpoint is deleted
first, so that every run does the same as a first run. The job `run` is from the last upload to a prediction, with the
CPU and memory of the local AWS itself.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import psutil

from bench import data
from bench.columns import FEATURES, SHARES
from bench.deployment import Deployment, deploying
from bench.figures import Figure, Point
from bench.jobs import NOUNS, Usages, peak, run_job, seconds, usage_of, watching
from bench.machine import copy_speed, parse_speed
from bench.process import PROJECT, spread

REFERENCE, REPEATS = 1_000_000, 2
"""The size that the largest is compared with, and its runs, before and after the largest: a run of it is brief, and
other work of the machine may disturb it."""
ATTEMPTS, ATTEMPTS_SECONDS = 3, 20
"""The most attempts of a job at the largest size; none starts after so many seconds."""
FILE_ROWS = 900_000
"""About 265 MB."""
MEMORY_MB, BUFFERS = {"preprocess": 500, "train": 250, "score": 300, "evaluate": 500}, "its buffers"
PER_ROW = {"preprocess": 1.2, "train": 1.2, "score": 1.2, "evaluate": 0.25, "run": 1.1}
"""Goals: the peak memory at the largest size, and the time per row divided by that at the reference."""
BYTES_PER_ROW = 1500
"""Disk space at most: uploaded, copied into a job, sorted, split, and split in S3."""
PARSING = "parsing of its CSV, all cores"
LIMITS = {
    "preprocess": PARSING,
    "train": "reading of its rows from memory, once",
    "score": "JSON to numbers and back",
    "evaluate": "JSON to numbers",
    "run": PARSING,
}


def measure(folder: Path, sizes: tuple[int, ...]) -> Iterator[Figure | Point]:
    """Each job at each of `sizes`, and the largest size beside 1,000,000 rows, or beside the smallest."""
    low, high = REFERENCE if REFERENCE in sizes else sizes[0], sizes[-1]
    taken: dict[int, list[Point]] = {rows: [] for rows in sizes}
    written, parsed = 0, 0.0  # bytes, MB/s
    with deploying(PROJECT / "bench/pipeline.toml", home=folder / "aws") as deployment:
        for before, rows in pairwise((0, *sizes)):
            written += _upload(deployment, folder, before, rows)
            for turn in range(REPEATS if rows == REFERENCE else 1):
                before_run = parse_speed(folder)
                taken[rows] += _run(deployment, rows, again=turn > 0)
                parsed = fmean((before_run, parse_speed(folder)))
        if low == REFERENCE:
            for job in NOUNS:
                _repeat(deployment, job, taken[high])
            _delete_files(deployment, low)
            for _ in range(REPEATS):
                taken[low] += _run(deployment, low, again=True)
    at = {(job, rows): _least_disturbed(job, points) for rows, points in taken.items() for job in LIMITS}
    yield from at.values()
    parsing = written / 1e6 / parsed  # at the speed around the last run, which is the largest
    parse = 1e6 * parsing / high
    read = 4 * (FEATURES + 1) * SHARES["train"] / copy_speed()  # 32-bit floats
    limited = {"preprocess": parse, "train": read, "run": parse}
    for job, limit in LIMITS.items():
        last, first = at[job, high], at[job, low]
        turns = [point.seconds for point in taken[high] if point.job == job]
        each, reference = 1e6 * last.seconds / high, 1e6 * first.seconds / low
        size, baseline = f"{job}, {high:,} rows", f"the same at {low:,}"
        goal = f"ratio <= {PER_ROW[job]}"
        pace, apart = f"{size}, time per row", spread(turns)
        yield Figure(pace, each, "us", baseline, reference, goal, limit, limited.get(job), apart)
        if job != "run":
            title, goal = f"{size}, peak memory", f"value < {MEMORY_MB[job]}"
            yield Figure(title, last.peak_mb, "MB", baseline, first.peak_mb, goal, BUFFERS, any_size=True)
    yield Figure("the local AWS itself, peak memory", at["run", high].peak_mb, "MB", limit=BUFFERS)
    took, title = at["run", high].seconds, "pyarrow, parsing its CSV"
    yield Figure(f"the whole run, {high:,} rows", took, "s", title, parsing, "ratio <= 4.5", PARSING, parsing)


def _upload(deployment: Deployment, folder: Path, done: int, rows: int) -> int:
    """Generate and upload the files of rows `done` to `rows`, with two processes; returns their bytes."""
    parts = [(start, min(FILE_ROWS, rows - start)) for start in range(done, rows, FILE_ROWS)]
    files = [folder / _name(start) for start, _ in parts]
    s3, bucket, size = deployment.client("s3"), deployment.outputs["DataBucket"], 0
    with ProcessPoolExecutor(2) as pool:
        written = [pool.submit(data.write_raw, file, *part[::-1]) for file, part in zip(files, parts, strict=True)]
        for file, one in zip(files, written, strict=True):
            size += one.result()
            s3.upload_file(str(file), bucket, f"raw/{file.name}")
            file.unlink()
    return size


def _delete_files(deployment: Deployment, kept: int) -> None:
    """Delete the files of all rows after the first `kept`."""
    s3, bucket = deployment.client("s3"), deployment.outputs["DataBucket"]
    for found in s3.list_objects_v2(Bucket=bucket, Prefix="raw/raw-")["Contents"]:
        if found["Key"] >= f"raw/{_name(kept)}":
            s3.delete_object(Bucket=bucket, Key=found["Key"])


def _name(start: int) -> str:
    return f"raw-{start:09}.csv"


def _run(deployment: Deployment, rows: int, *, again: bool) -> list[Point]:
    """Run the workflow on all uploaded files, `again` on the same ones."""
    deployment.delete_endpoint()
    os.sync()  # the uploaded data must not be on its way to the disk during the measurement
    server, started = psutil.Process(deployment.cloud.pid), time.monotonic()
    before = server.cpu_times()
    with watching(deployment.cloud.pid) as usages:
        if again:
            deployment.ops("retrain", "--force")
        else:
            deployment.client("s3").put_object(Bucket=deployment.outputs["DataBucket"], Key="raw/_SUCCESS", Body=b"")
        deployment.ops("watch")
        deployment.ops("predict")
        took = time.monotonic() - started
    after = server.cpu_times()
    points = [_point(deployment, usages, rows, job, _newest(deployment, job)) for job in NOUNS]
    cpu = after.user + after.system - before.user - before.system
    return [*points, Point(rows, "run", took, cpu, peak(deployment.cloud.pid))]


def _repeat(deployment: Deployment, job: str, taken: list[Point]) -> None:
    """Repeat a job of the newest run, as its state would retry it, and append its measurements to `taken`."""
    (done,) = [point for point in taken if point.job == job]
    turns = [done.seconds]
    sagemaker, first, noun = deployment.client("sagemaker"), _newest(deployment, job), NOUNS[job]
    title = noun.title()
    found = getattr(sagemaker, f"describe_{noun}_job")(**{f"{title}JobName": first})
    members = sagemaker.meta.service_model.operation_model(f"Create{title}Job").input_shape.members
    request = {key: found[key] for key in members if key in found}
    # SageMaker describes these of a built-in algorithm, but rejects a request with them.
    request.get("AlgorithmSpecification", {}).pop("MetricDefinitions", None)
    while len(turns) < ATTEMPTS and sum(turns) < ATTEMPTS_SECONDS:
        name = f"{first.removesuffix('0')}{len(turns)}"
        with watching(deployment.cloud.pid) as usages:
            run_job(sagemaker, noun, name, **request)
        taken.append(_point(deployment, usages, done.rows, job, name))
        turns.append(taken[-1].seconds)


def _point(deployment: Deployment, usages: Usages, rows: int, job: str, name: str) -> Point:
    usage = usage_of(name, usages)
    return Point(rows, job, seconds(deployment.client("sagemaker"), NOUNS[job], name), usage.cpu, usage.peak)


def _least_disturbed(job: str, taken: list[Point]) -> Point:
    """The fastest turn of a job at a size, with the most memory of any; the local AWS's own memory never shrinks."""
    turns = [point for point in taken if point.job == job]
    peaks = [point.peak_mb for point in turns]
    return replace(min(turns, key=lambda point: point.seconds), peak_mb=peaks[0] if job == "run" else max(peaks))


def _newest(deployment: Deployment, job: str) -> str:
    """The name of a job of the newest run; it contains the MD5 of the run's name (pipeline/states/building.py)."""
    machine = deployment.outputs["StateMachine"]
    newest = deployment.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"][0]
    run = hashlib.md5(newest["name"].encode(), usedforsecurity=False).hexdigest()
    return f"{deployment.settings.project.name}-{job}-{run}-0"
