"""The files to score: ListFiles of the score machine."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3

from .listing import NONE, check_names, signature_of

PREFIX, SCORED = "score/", "scored/"
LEFT_OUT = ".left-out"
"""Follows the scored name of a file of which no row could be scored (pipeline/jobs/score/join.py)."""
NEVER = datetime.min.replace(tzinfo=UTC)
MOST_FILES = 100
"""Files of one execution: their counts are in its state. The next one has the others."""


class NothingLive(Exception):
    """There is no model that could score."""


class SignatureUnknown(Exception):
    """The columns that the live model reads are not known."""


class FileMissing(Exception):
    """The file that is to be scored is not there."""


def handle(event: dict[str, Any], _context: object) -> dict[str, int]:
    """Return {"files"}, their number, for {"execution": its name, "input": its input, "champion": what is live}.

    The input's "key" is the file to score; without one they are those that were uploaded since they were scored last.
    request.json, the live model's signature.json and manifest.json, which lists the objects for the processing job, are
    written to the execution's folder.

    Raises NothingLive, SignatureUnknown, FileMissing. Raises KeyUnusable: a job cannot have an object as a file.
    """
    s3, bucket, champion = boto3.client("s3"), os.environ["DATA_BUCKET"], event["champion"]
    if champion["package"] == NONE:
        raise NothingLive("no model is live that could score: ops upload FILE trains one")
    signature = signature_of(s3, bucket, champion["variant"])
    if signature == b"{}":
        raise SignatureUnknown("an older version trained the live model: ops retrain --force trains one that can score")
    given = event["input"] if isinstance(event["input"], dict) else {}
    scored = _asked(s3, bucket, given["key"]) if given.get("key") else _new(s3, bucket)
    if not scored:
        return {"files": 0}
    check_names([*scored], f"s3://{bucket}/{PREFIX}", f"aws s3 rm s3://{bucket}/{PREFIX}")
    request = {
        "files": scored,
        "version": int(champion["package"].rpartition("/")[2]),
        "contributions": int(os.environ["CONTRIBUTIONS"]),
    }
    manifest = [{"prefix": f"s3://{bucket}/{PREFIX}"}, *scored]
    for name, body in (
        ("request", json.dumps(request).encode()),
        ("signature", signature),
        ("manifest", json.dumps(manifest).encode()),
    ):
        s3.put_object(Bucket=bucket, Key=f"runs/{event['execution']}/request/{name}.json", Body=body)
    return {"files": len(scored)}


def scored_name(name: str) -> str:
    """Return the name under scored/ of a file's rows: its own, and an ending if that would not say the format."""
    wanted = os.environ["FORMAT"]
    ending = f".{wanted}" if wanted != "input" else ".csv" if name.lower().endswith(".zip") else ""
    return name if name.lower().endswith(ending) else name + ending


def _asked(s3: Any, bucket: str, key: str) -> dict[str, str]:
    """Return the name of one file, with that of its scored rows; none for a folder of the console."""
    if key.endswith("/"):
        return {}
    if not key.startswith(PREFIX) or key.removeprefix(PREFIX) not in _times(s3, bucket, key, PREFIX):
        raise FileMissing(f"s3://{bucket}/{key} is no file under {PREFIX}: upload it again (ops score FILE)")
    name = key.removeprefix(PREFIX)
    return {name: scored_name(name)}


def _new(s3: Any, bucket: str) -> dict[str, str]:
    """Return the names of the files that are not older than their scored rows or marker, the oldest files first."""
    files, done = _times(s3, bucket, PREFIX, PREFIX), _times(s3, bucket, SCORED, SCORED)
    names = {name: scored_name(name) for name in sorted(files, key=lambda name: files[name])}
    last = {name: max(done.get(each, NEVER) for each in (scored, scored + LEFT_OUT)) for name, scored in names.items()}
    new = [name for name in names if last[name] <= files[name]]
    return {name: names[name] for name in new[:MOST_FILES]}


def _times(s3: Any, bucket: str, prefix: str, folder: str) -> dict[str, datetime]:
    """Return when each object under a prefix was uploaded, by its name in the folder."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    items = (item for page in pages for item in page.get("Contents", []))
    return {item["Key"].removeprefix(folder): item["LastModified"] for item in items if not item["Key"].endswith("/")}
