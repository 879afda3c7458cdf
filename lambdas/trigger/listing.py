"""The objects of the data: the trigger compares them with earlier runs', and a run reads those that it lists."""

import hashlib
import json
import os
import shlex
from contextlib import suppress
from typing import Any, TypedDict

import boto3

from . import preprocessed

VARIANT = "signature-"
"""A production variant's name starts with it, and the signature's name follows; an older version has other names."""
NONE = "none"
"""The variant when nothing is live."""


class DataIncomplete(Exception):
    """There is no data yet, or its marker is missing or older."""


class KeyUnusable(Exception):
    """A job cannot have an object as a file, by its key or beside another one."""


class Superseded(Exception):
    """The data is not that which the run was asked for, or it changed while the run read it."""


class Listed(TypedDict):
    """An object: its key, the time of its upload (ISO 8601), its size in bytes and its version."""

    key: str
    modified: str
    size: int
    version: str


class Data(TypedDict):
    """SHA-256 of the objects' keys, versions and sizes, their number, total bytes and newest time (ISO 8601)."""

    fingerprint: str
    objects: int
    bytes: int
    newest: str


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


def data_of(listed: list[Listed]) -> Data:
    """Return the listing in numbers."""
    objects = [(item["key"], item["version"], item["size"]) for item in listed]
    digest, total = hashlib.sha256(json.dumps(objects).encode()).hexdigest(), sum(size for *_, size in objects)
    newest = max((item["modified"] for item in listed), default="")
    return Data(fingerprint=digest, objects=len(objects), bytes=total, newest=newest)


class Rows(TypedDict):
    """The run whose rows are trained on, whether it is an earlier one that was `found`, and the `key` they have."""

    run: str
    found: bool
    key: str


class Listing(Data):
    """The data that a run reads, and whose preprocessed rows of it the run takes."""

    rows: Rows


def handle(event: dict[str, Any], _context: object) -> Listing | dict[str, int]:
    """ListData and CheckData of the retrain machine, for {"execution": its name}.

    With the "fingerprint" that the run was asked for, or "none", and the champion's "variant", write listing.json and
    manifest.json to the run's folder and return the data: preprocessing reads the manifest's objects. A processing
    job's copies of them have no times, and the later upload of a row replaces the earlier one. If what is live has
    another signature than the settings, champion.json beside them is this signature, or {} if none is known. Unless
    there is "force", the run takes the rows of an earlier one that preprocessed the same.

    Without it, return {"objects"} if all of the listing are still there in the version that was listed: SageMaker reads
    the current ones. What the run preprocessed is then kept by "key", if there is one.

    Raises KeyUnusable. Raises Superseded: the data is, or became, another. Raises DataIncomplete: nobody asked for
    certain data, and there is none or not all of it.
    """
    s3, bucket, prefix = boto3.client("s3"), os.environ["DATA_BUCKET"], os.environ["DATA_PREFIX"]
    listed, marked = list_objects(s3, bucket, prefix, os.environ["DATA_MARKER"])
    folder = f"runs/{event['execution']}/listing"
    if "fingerprint" not in event:
        read = json.load(s3.get_object(Bucket=bucket, Key=f"{folder}/listing.json")["Body"])
        _check_unchanged(read, listed)
        if key := event.get("key"):
            preprocessed.keep(s3, bucket, key, event["execution"])
        return {"objects": len(read)}
    data, asked = data_of(listed), event["fingerprint"]
    if asked not in ("none", data["fingerprint"]):
        raise Superseded("the data changed after this run was asked for; without a newer run: ops retrain")
    if not listed:
        raise DataIncomplete(f"s3://{bucket}/{prefix} is empty: upload a CSV")
    if asked == "none" and os.environ["DATA_MARKER"] and marked < data["newest"]:
        raise DataIncomplete(f"upload s3://{bucket}/{prefix}{os.environ['DATA_MARKER']} after the data")
    names = [item["key"].removeprefix(prefix) for item in listed]
    check_names(names, f"s3://{bucket}/{prefix}")
    manifest = [{"prefix": f"s3://{bucket}/{prefix}"}, *names]
    for name, document in (("listing", listed), ("manifest", manifest)):
        s3.put_object(Bucket=bucket, Key=f"{folder}/{name}.json", Body=json.dumps(document).encode())
    champion = b""
    if event["variant"] not in (NONE, os.environ["VARIANT"]):
        champion = signature_of(s3, bucket, event["variant"])
        s3.put_object(Bucket=bucket, Key=f"{folder}/champion.json", Body=champion)
    return Listing(**data, rows=_rows(s3, bucket, event, data, champion.decode()))


def _rows(s3: Any, bucket: str, event: dict[str, Any], data: Data, champion: str) -> Rows:
    """Return whose rows a run takes, which are then complete in the folders of both runs."""
    run, days = event["execution"], int(os.environ["CACHE_DAYS"])
    if not days:
        return Rows(run=run, found=False, key="")
    key = preprocessed.key_of(data["fingerprint"], os.environ["PREPROCESSING"], champion)
    found = None if event.get("force") else preprocessed.find(s3, bucket, key, days)
    if found is None:
        return Rows(run=run, found=False, key=key)
    preprocessed.take(s3, bucket, found, run)
    return Rows(run=found["run"], found=True, key=key)


def check_names(names: list[str], folder: str, advice: str = "ops data remove") -> None:
    """Raise KeyUnusable, with the command `advice`, for the first name that is no path of a file beside the others.

    S3 takes any key. A job's file system knows no empty folder name, and no file that is a folder, too; a line break
    would end a line of the manifest.
    """
    folders = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
    for name in names:
        control = any(ord(sign) < 32 or ord(sign) == 127 for sign in name)
        reasons = {
            "its name has a control character": control,
            "a part of its path is empty or consists of dots": {"", ".", ".."} & set(name.split("/")),
            "other keys have it as their folder": name in folders,
        }
        if reason := next((reason for reason, applies in reasons.items() if applies), ""):
            # As a shell takes it: bash reads $'…' like Python reads '…'.
            quoted = f"${name!r}" if control else shlex.quote(name)
            raise KeyUnusable(f"{folder} has {quoted}, but {reason}: {advice} {quoted}")


def _check_unchanged(read: list[Listed], listed: list[Listed]) -> None:
    versions = {item["key"]: item["version"] for item in listed}
    changed = [item["key"] for item in read if versions.get(item["key"]) != item["version"]]
    if changed:
        raise Superseded(f"{changed[0]} changed while this run read it; without a newer run: ops retrain")


def signature_of(s3: Any, bucket: str, variant: str) -> bytes:
    """Return the signature's document that a production variant is named after, or {}."""
    if variant.startswith(VARIANT):
        with suppress(s3.exceptions.NoSuchKey):
            found = s3.get_object(Bucket=bucket, Key=f"signatures/{variant.removeprefix(VARIANT)}.json")
            return bytes(found["Body"].read())
    return b"{}"
