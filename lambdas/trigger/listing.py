"""The objects of the data: the trigger compares them with those of earlier runs, and a run notes what it reads."""

import json
import os
from contextlib import suppress
from typing import Any, TypedDict

import boto3

VARIANT = "signature-"
"""A production variant's name starts with it, and the signature's name follows; an older version has other names."""
NONE = "none"
"""The variant when nothing is live."""


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
    """ListData of the retrain machine: take {"execution": its name, "variant": the champion's}; return {"objects"}.

    Writes listing.json: a processing job's copies of the objects have no times, and the later upload of a row replaces
    the earlier one. If something is live, champion.json beside it is the champion's signature, or {} if none is known.
    """
    s3, bucket = boto3.client("s3"), os.environ["DATA_BUCKET"]
    folder = f"runs/{event['execution']}/listing"
    listed, _ = list_objects(s3, bucket, os.environ["DATA_PREFIX"], os.environ["DATA_MARKER"])
    s3.put_object(Bucket=bucket, Key=f"{folder}/listing.json", Body=json.dumps(listed).encode())
    if event["variant"] != NONE:
        body = _signature(s3, bucket, event["variant"])
        s3.put_object(Bucket=bucket, Key=f"{folder}/champion.json", Body=body)
    return {"objects": len(listed)}


def _signature(s3: Any, bucket: str, variant: str) -> bytes:
    """Return the signature's document that a production variant is named after, or {}."""
    if variant.startswith(VARIANT):
        with suppress(s3.exceptions.NoSuchKey):
            found = s3.get_object(Bucket=bucket, Key=f"signatures/{variant.removeprefix(VARIANT)}.json")
            return bytes(found["Body"].read())
    return b"{}"
