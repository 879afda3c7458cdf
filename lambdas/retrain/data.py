"""What data there is, and its fingerprint."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Data:
    """The objects under the data prefix: keys with version and bytes, and when the newest was put (ISO 8601).

    `complete` is false while the marker, if one is asked for, is missing or older than an object.
    """

    objects: tuple[tuple[str, str, int], ...]
    newest: str
    complete: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256 over keys, versions and sizes: the same data has the same, whatever asked."""
        return hashlib.sha256(json.dumps(self.objects).encode()).hexdigest()

    def summary(self) -> dict[str, str | int]:
        """What an execution's input says of it; sizes in bytes."""
        total = sum(size for _, _, size in self.objects)
        return {"fingerprint": self.fingerprint, "objects": len(self.objects), "bytes": total, "newest": self.newest}


def listed(s3: Any, bucket: str, prefix: str, marker: str) -> Data:
    """Return the current versions under the prefix; the marker and the console's folders are no data.

    S3 gives a time to the second, and to a multipart upload the time that it began (S3 User Guide, "Working with object
    metadata"): a marker that is put last is never older than what it completes.
    """
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    current = [version for page in pages for version in page.get("Versions", []) if version["IsLatest"]]
    marked = next((version["LastModified"] for version in current if version["Key"] == prefix + marker), None)
    data = [version for version in current if version["Key"] != prefix + marker and not version["Key"].endswith("/")]
    newest = max((version["LastModified"] for version in data), default=None)
    return Data(
        objects=tuple(sorted((version["Key"], version["VersionId"], version["Size"]) for version in data)),
        newest=newest.isoformat() if newest else "",
        complete=not marker or newest is None or (marked is not None and marked >= newest),
    )
