"""Preprocessed data: a run takes over that of an earlier run which had the same data, settings and program."""

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

PREFIX = "preprocessed/"
ROWS = ("train", "validation", "holdout", "labels", "champion")
"""The folders with rows, which stay where they are."""
BESIDE = ("baseline", "encoder")
"""The folders of what also lies beside the model; only some settings have an encoder."""
Files = dict[str, tuple[str, int]]
"""ETags and sizes of objects by key."""


class Preprocessed(TypedDict):
    """The run that preprocessed, when its data was found unchanged (ISO 8601), and SHA-256 of the files it wrote."""

    run: str
    time: str
    files: str


def key_of(*parts: str) -> str:
    """Return the name of what is kept of these parts, on each of which preprocessing depends."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def keep(s3: Any, bucket: str, key: str, run: str) -> None:
    """Keep what a run preprocessed, unless a file of it is missing."""
    files = _files(s3, bucket, run)
    folders = {name.split("/")[2] for name in files}
    if folders >= {*ROWS, "baseline"}:
        document = Preprocessed(run=run, time=datetime.now(UTC).isoformat(), files=_digest(files))
        s3.put_object(Bucket=bucket, Key=f"{PREFIX}{key}.json", Body=json.dumps(document).encode())


def find(s3: Any, bucket: str, key: str, days: int) -> Preprocessed | None:
    """Return what was kept in the last `days`.

    Return None if nothing was, it cannot be read, or a file of it was changed or is gone.
    """
    with suppress(s3.exceptions.NoSuchKey, ValueError, KeyError, TypeError):
        kept = json.load(s3.get_object(Bucket=bucket, Key=f"{PREFIX}{key}.json")["Body"])
        found = Preprocessed(run=kept["run"], time=kept["time"], files=kept["files"])
        young = datetime.now(UTC) - datetime.fromisoformat(found["time"]) < timedelta(days=days)
        if young and found["files"] == _digest(_files(s3, bucket, found["run"])):
            return found
    return None


def take(s3: Any, bucket: str, found: Preprocessed, run: str) -> None:
    """Copy what lies beside the model into a run's folder, and write listing/preprocessed.json there.

    So the folder of a model has all that a drift check, a rollback or a report reads of it.
    """
    source, target = f"runs/{found['run']}/", f"runs/{run}/"
    for key in _files(s3, bucket, found["run"]):
        if key.startswith(source):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=bucket, Key=target + key.removeprefix(source), Body=body)
    s3.put_object(Bucket=bucket, Key=f"{target}listing/preprocessed.json", Body=json.dumps(found).encode())


def _files(s3: Any, bucket: str, run: str) -> Files:
    prefixes = [*(f"rows/{run}/{name}/" for name in ROWS), *(f"runs/{run}/{name}/" for name in BESIDE)]
    list_pages = s3.get_paginator("list_objects_v2").paginate
    pages = (page for prefix in prefixes for page in list_pages(Bucket=bucket, Prefix=prefix))
    return {item["Key"]: (item["ETag"], item["Size"]) for page in pages for item in page.get("Contents", [])}


def _digest(files: Files) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
