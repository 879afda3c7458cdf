"""What a look at drift reads: the captured requests of a window, the live model's run, and the truth that came late."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

COLUMNS = ("inference_id", "row", "label")
VARIANT = "AllTraffic"


class NotOurs(Exception):
    """The live model was not trained by a run of this pipeline, so there is no baseline to compare with."""


@dataclass(frozen=True)
class Window:
    """Where things are, how far a look reaches back, and the clients to look with."""

    bucket: str
    endpoint: str
    hours: int
    truth_days: int
    s3: Any
    sagemaker: Any


def collect(window: Window, execution: str, now: datetime) -> dict[str, Any]:
    """Write the execution's window folder, and return {"files", "run"}; without an endpoint there are no files.

    manifest.json names the captured files as a processing job reads them (S3DataSource, ManifestFile), window.json says
    from when to when, and truth.csv holds the feedback that is not older than `truth_days`. While there is feedback,
    the captured files reach back as far.

    Raises:
        NotOurs: the live model has no run.
    """
    run = _live_run(window)
    if run is None:
        return {"files": 0, "run": "none"}
    since, folder = now - timedelta(hours=window.hours), f"runs/{execution}/window/"
    truth = list(_truth(window, now - timedelta(days=window.truth_days)))
    reach = min(since, now - timedelta(days=window.truth_days)) if truth else since
    prefix = f"captured/{window.endpoint}/{VARIANT}/"
    names = [key.removeprefix(prefix) for key in _captured(window, prefix, reach, now)]
    manifest = [{"prefix": f"s3://{window.bucket}/{prefix}"}, *names]
    asked = {"run": run, "since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *truth])
    for name, body in (
        ("manifest.json", json.dumps(manifest)),
        ("window.json", json.dumps(asked)),
        ("truth.csv", text.getvalue()),
    ):
        window.s3.put_object(Bucket=window.bucket, Key=folder + name, Body=body.encode())
    return {"files": len(names), "run": run}


def _live_run(window: Window) -> str | None:
    """The run that trained the live model, by the place of its artifact, which a rollback keeps: runs/{run}/model/."""
    try:
        config = window.sagemaker.describe_endpoint(EndpointName=window.endpoint)["EndpointConfigName"]
    except window.sagemaker.exceptions.ClientError as error:
        if "Could not find" in str(error):
            return None
        raise
    described = window.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    model = described["ProductionVariants"][0]["ModelName"]
    artifact = window.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
    place = urlsplit(artifact)
    folder, _, rest = place.path.lstrip("/").partition("/")
    if place.netloc != window.bucket or folder != "runs":
        raise NotOurs(f"{artifact} is not under s3://{window.bucket}/runs/: deploy a model by a run first")
    run: str = rest.partition("/")[0]
    return run


def _captured(window: Window, prefix: str, since: datetime, until: datetime) -> Iterator[str]:
    """The captured files hour by hour: their keys are {prefix}yyyy/mm/dd/hh/… in UTC."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    while hour <= until:
        yield from _keys(window, f"{prefix}{hour:%Y/%m/%d/%H}/")
        hour += timedelta(hours=1)


def _truth(window: Window, since: datetime) -> Iterator[tuple[str, str, str]]:
    """The rows of the feedback files, which are kept by the day on which they came: feedback/yyyy-mm-dd/."""
    for key in _keys(window, "feedback/"):
        if key.split("/")[1] >= f"{since:%Y-%m-%d}":
            body = window.s3.get_object(Bucket=window.bucket, Key=key)["Body"].read().decode()
            for line in csv.DictReader(io.StringIO(body)):
                yield line["inference_id"], line.get("row") or "1", line["label"]


def _keys(window: Window, prefix: str) -> Iterator[str]:
    pages = window.s3.get_paginator("list_objects_v2").paginate(Bucket=window.bucket, Prefix=prefix)
    yield from (item["Key"] for page in pages for item in page.get("Contents", []))
