"""The objects of the data: the trigger compares them with those of earlier runs, and a run notes what it reads."""

import json
import os
from typing import Any, TypedDict

import boto3


class Listed(TypedDict):
    """An object: its key, the time of its upload (ISO 8601), its size in bytes and its version."""

    key: str
    modified: str
    size: int
    version: str


def list_objects(s3: Any, bucket: str, prefix: str, marker: str = "") -> tuple[list[Listed], str]:
    """Return the current objects by key, without the console's folders and the marker; and the marker's time, or ""."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    current = [item for page in pages for item in page.get("Versions", []) if item["IsLatest"]]
    times = {item["Key"]: item["LastModified"].isoformat() for item in current}
    listed = [
        Listed(key=item["Key"], modified=times[item["Key"]], size=item["Size"], version=item["VersionId"])
        for item in sorted(current, key=lambda item: str(item["Key"]))
        if item["Key"] != prefix + marker and not item["Key"].endswith("/")
    ]
    return listed, times.get(prefix + marker, "")


def handle(event: dict[str, str], _context: object) -> dict[str, int]:
    """ListData of the retrain machine: write the listing of {"execution": its name}; return {"objects"}.

    A processing job's copies of the objects have no times, and the later upload of a row replaces the earlier one.
    """
    s3, bucket = boto3.client("s3"), os.environ["DATA_BUCKET"]
    listed, _ = list_objects(s3, bucket, os.environ["DATA_PREFIX"], os.environ["DATA_MARKER"])
    key = f"runs/{event['execution']}/listing/listing.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(listed).encode())
    return {"objects": len(listed)}
