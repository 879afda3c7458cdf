"""Transfer of objects to and from sandboxes."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.file_transfer import LARGE, FileTransfer, accept_tokens
from local_aws.sagemaker.api.errors import JobError

CHUNK = 1 << 20
CORES = os.cpu_count() or 1


class S3:
    """S3 as jobs use it; every failure is a JobError with a FailureReason's wording."""

    def __init__(self, client: Any, file_transfer: FileTransfer) -> None:
        self.client = client
        self._transfer = file_transfer
        accept_tokens(client)

    def keys(self, source: dict[str, Any]) -> list[tuple[str, str, str]]:
        """Bucket, key and the path below the prefix of each object that an S3DataSource or S3Input names, in key order.

        S3DataType S3Prefix (the default) matches keys by their beginning, as S3 does, not by folders; ManifestFile
        reads `[{"prefix": "s3://…"}, "a.csv", …]` (S3DataSource's API page).

        Raises:
            JobError: Nothing is there, or it cannot be listed.
        """
        uri = source["S3Uri"]
        bucket, prefix = split(uri)
        if source.get("S3DataType", "S3Prefix") == "ManifestFile":
            head, *names = json.loads(self._open(bucket, prefix, uri).read())
            bucket, prefix = split(head["prefix"])
            return [(bucket, prefix + name, name) for name in names]
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        except (ClientError, BotoCoreError) as error:
            raise JobError(f'ClientError: Data download failed: cannot list "{uri}": {error}') from error
        found = [(bucket, key, below(prefix, key)) for key in keys if not key.endswith("/")]
        if not found:
            raise JobError(
                f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input data '
                "source. Please ensure that the bucket exists, that objects exist under that prefix, and that the role "
                "may list it."
            )
        return sorted(found)

    def download(self, source: dict[str, Any], folder: Path, shard: tuple[int, int] = (0, 1)) -> None:
        """Copy a source's objects into a folder; of `shard` (i, n) the i-th of n parts when the source says so.

        AWS does not say how ShardedByS3Key deals the keys out; here each n-th one in key order.
        """
        keys = self.keys(source)
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            keys = keys[shard[0] :: shard[1]]
        for bucket, key, path in keys:
            self.fetch(bucket, key, inside(folder, path))

    def fetch(self, bucket: str, key: str, target: Path) -> None:
        """Copy one object to a file; a large one is linked, for reading only. Raises JobError."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # what another input has linked there must not be written over
        except OSError as error:
            # A name above 255 bytes, or one that is a folder of others: S3 has no folders.
            words = f"the key {key!r} is no file beside the others: {error.strerror}"
            raise JobError(f"ClientError: Data download failed: {words}") from error
        with self._transfer.offer(target) as token:
            body = self._open(bucket, key, f"s3://{bucket}/{key}", LocalFile=token)
            if target.exists():
                body.read()  # nothing, but it frees the connection
                return
        with target.open("wb") as file:
            shutil.copyfileobj(body, file, CHUNK)

    def _open(self, bucket: str, key: str, uri: str, **more: str) -> Any:
        try:
            return self.client.get_object(Bucket=bucket, Key=key, **more)["Body"]
        except (ClientError, BotoCoreError) as error:
            raise JobError(f'ClientError: Data download failed: cannot read "{uri}": {error}') from error

    def upload(self, folder: Path, uri: str) -> None:
        """Copy a folder's files below a URI; symbolic links are not followed, as on AWS. Raises JobError."""
        with ThreadPoolExecutor(CORES) as pool:
            stored = [
                pool.submit(self.store, file, f"{uri.rstrip('/')}/{file.relative_to(folder).as_posix()}")
                for file in files(folder)
            ]
            try:
                for done in stored:
                    done.result()
            except JobError:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def store(self, file: Path, uri: str) -> None:
        """Copy one file to a URI; a large one is linked and becomes read-only. Raises JobError."""
        bucket, key = split(uri)
        try:
            if file.stat().st_size < LARGE:
                with file.open("rb") as body:
                    self.client.put_object(Bucket=bucket, Key=key, Body=body)
                return
            with self._transfer.offer(file) as token:
                self.client.put_object(Bucket=bucket, Key=key, LocalFile=token)
        except (ClientError, BotoCoreError) as error:
            raise JobError(f'ClientError: Failed to upload to "{uri}": {error}') from error


def files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(parent.is_symlink() for parent in path.parents):
            yield path


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def below(prefix: str, key: str) -> str:
    """Where a key's object lies in the folder that its prefix becomes."""
    if key.startswith(f"{prefix.rstrip('/')}/"):
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def inside(folder: Path, path: str) -> Path:
    """A path below a folder. Raises JobError when a key would lead out of it, or has an empty folder name."""
    target = folder / path
    if "" in path.split("/") or not target.resolve().is_relative_to(folder.resolve()):
        raise JobError(f"ClientError: Data download failed: the key {path!r} is no path of a file in its folder")
    return target
