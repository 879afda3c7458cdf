"""ministack's S3: large objects stay in files, from the parts of an upload to the answer.

ministack takes every body for bytes. Here the body of a large object is a `Stored`, the parts of an upload wait in
files, and a job's file is linked in or out (local/file_transfer.py) instead of sent.
"""

import hashlib
import importlib
import logging
import os
import secrets
import shutil
import tempfile
import types
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local_aws.file_transfer import HEADER, LARGE, FileTransfer
from local_aws.ministack_adapter import inner, wrap

S3, RESPONSES = "ministack.services.s3", "ministack.core.responses"
CHUNK = 1 << 20
log = logging.getLogger(__name__)
ENCRYPTION = "x-amz-server-side-encryption"
_as_file: ContextVar[bool] = ContextVar("as_file", default=False)
_completed: ContextVar[tuple[dict[int, Any], Path]] = ContextVar("completed")


@dataclass(frozen=True)
class Stored:
    """The bytes `start` to `stop` of a file."""

    path: Path
    start: int
    stop: int

    @classmethod
    def of(cls, path: Path) -> "Stored":
        """A whole file."""
        return cls(path, 0, path.stat().st_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> "Stored":
        first, last, _ = part.indices(len(self))
        return replace(self, start=self.start + first, stop=self.start + max(first, last))

    def read(self) -> bytes:
        """Into memory."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(len(self))

    def link(self, target: Path) -> None:
        """The whole file under another name; a copy where the file system cannot."""
        target.unlink(missing_ok=True)
        try:
            os.link(self.path, target)
        except OSError:
            shutil.copyfile(self.path, target)

    def stream(self) -> Callable[[Any, Any], Awaitable[None]]:
        """Sends the bytes; opened now, so that they are those of the object that was asked for."""
        file = self.path.open("rb")
        file.seek(self.start)

        async def send_all(send: Any, _receive: Any) -> None:
            left = len(self)
            with file:
                while left:
                    chunk = file.read(min(CHUNK, left))
                    left -= len(chunk)
                    if not chunk:
                        raise EOFError(f"{self.path} became shorter while it was sent")
                    await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})

        return send_all


class _Part(bytes):
    """An uploaded part in a file, of which ministack joins no bytes; `digest` is the part's MD5."""

    path: Path
    md5: str

    @classmethod
    def keep(cls, body: bytes, md5: str) -> "_Part":
        part = cls()
        part.md5 = md5
        with tempfile.NamedTemporaryFile(dir=_parts(), delete=False) as file:
            part.path = Path(file.name)
            file.write(body)
        return part

    def digest(self) -> bytes:
        return bytes.fromhex(self.md5)

    def __del__(self) -> None:
        self.path.unlink(missing_ok=True)


def install(file_transfer: FileTransfer) -> None:
    """Put the wrappers in."""
    module: Any = importlib.import_module(S3)
    wrappers: dict[str, Callable[..., Any]] = {
        "_dispatch": partial(_answer, file_transfer),
        "_record_object_version": _with_files,
        "_record_delete_marker": _with_files,
        "_read_body": _body,
        "_atomic_write": _write,
        # Objects are on disk; ministack would keep each version's bytes in memory, too.
        "_version_entry_from_record": lambda original, obj, version_id, data: original(obj, version_id, None),
        "_upload_part": _keep_part,
        "_complete_multipart_upload": _complete,
        "_maybe_replicate": _assemble,
        "_put_object": _put,
        "_bucket_default_sse_headers": lambda original, bucket: original(bucket) or {ENCRYPTION: "AES256"},
        "md5_hash": _etag,
    }
    wrap(S3, wrappers)
    module.hashlib = types.SimpleNamespace(**{**vars(hashlib), "md5": _md5})


def _answer(  # noqa: PLR0917 the order is ministack's
    file_transfer: FileTransfer, original: Any, method: str, bucket: str, key: str, headers: Any, body: Any, query: Any
) -> Any:
    if headers.get(ENCRYPTION) == "aws:kms" and not headers.get(f"{ENCRYPTION}-aws-kms-key-id"):
        headers = {**headers, f"{ENCRYPTION}-aws-kms-key-id": _own_key()}
    offer = file_transfer.find(headers.get(HEADER, ""))
    if offer and method == "PUT":
        body = Stored.of(offer)
    call = partial(_with_files, original) if method == "GET" else original
    try:
        if method == "PUT" and isinstance(body, bytes):
            _make_room(len(body))
        status, headers_, answer = call(method, bucket, key, headers, body, query)
    except OSError as error:  # a full disk
        log.exception("S3 cannot %s %s/%s", method, bucket, key)
        return inner(S3, "_error")("InternalError", f"We encountered an internal error: {error.strerror}", 500)
    if not isinstance(answer, Stored):
        return status, headers_, answer
    if offer:
        answer.link(offer)
        offer.chmod(0o400)  # it is the object's own file
        return status, {**headers_, "Content-Length": "0"}, b""
    if len(answer) < LARGE:
        return status, headers_, answer.read()
    return status, headers_, inner(RESPONSES, "StreamingResponse")(answer.stream())


def _put(original: Any, bucket: str, key: str, body: Any, headers: Any) -> Any:
    """An object has AWS's default type, and PutObject answers the checksums that were sent."""
    status, answered, content = original(bucket, key, body, {"content-type": "binary/octet-stream", **headers})
    sums = {name: value for name, value in headers.items() if name.startswith("x-amz-checksum-")}
    if status == HTTPStatus.OK and sums:
        answered |= {**sums, "x-amz-checksum-type": "FULL_OBJECT"}
    return status, answered, content


def _etag(original: Any, data: Any) -> str:
    """As of an upload in parts a job's large file has an ETag that is no MD5: to hash it takes longer than to write."""
    return f"{secrets.token_hex(16)}-1" if isinstance(data, Stored) else str(original(data))


def _own_key() -> str:
    """The account's `aws/s3`, which encrypts where a request names no key."""
    region, account = inner(RESPONSES, "get_region")(), inner(RESPONSES, "get_account_id")()
    return f"arn:aws:kms:{region}:{account}:key/{uuid.uuid5(uuid.NAMESPACE_DNS, f'{account}.{region}.s3')}"


def _with_files(original: Any, *arguments: Any) -> Any:
    """What is read or displaced here is a file, not its bytes."""
    token = _as_file.set(True)
    try:
        return original(*arguments)
    finally:
        _as_file.reset(token)


def _body(original: Any, bucket: str, key: str, obj: dict[str, Any]) -> Any:
    if _as_file.get() and obj["size"] >= LARGE and obj.get("body") is None:
        return Stored.of(Path(inner(S3, "_object_disk_path")(bucket, key)))
    return original(bucket, key, obj)


def _write(original: Any, path: str, data: Any, *, text: bool = False) -> None:
    if not isinstance(data, Stored):
        original(path, data, text=text)
        return
    linked = Path(f"{path}.tmp")
    data.link(linked)
    linked.replace(path)
    linked.unlink(missing_ok=True)  # renaming one name of a file to another of the same leaves both


def _keep_part(original: Any, bucket: str, key: str, body: bytes, *more: Any) -> Any:
    answer, query = original(bucket, key, body, *more), more[0]
    if answer[0] == HTTPStatus.OK:
        part = inner(S3, "_multipart_uploads")[query["uploadId"][0]]["parts"][int(query["partNumber"][0])]
        part["body"] = _Part.keep(body, part["etag"].strip('"'))
    return answer


def _complete(original: Any, bucket: str, key: str, body: Any, *more: Any) -> Any:
    query, headers = more[0], dict(more[1] or {})
    headers.pop("x-amz-mp-object-size", None)  # ministack would compare it with the empty parts
    upload = inner(S3, "_multipart_uploads").get(query["uploadId"][0], {"parts": {}})
    _make_room(sum(part["size"] for part in upload["parts"].values()))
    with tempfile.NamedTemporaryFile(dir=_parts()) as file:
        token = _completed.set((upload["parts"], Path(file.name)))
        try:
            return original(bucket, key, body, query, headers)
        finally:
            _completed.reset(token)


def _assemble(original: Any, bucket: str, key: str, obj: dict[str, Any], data: Any, *tags: Any) -> None:
    """Give a completed upload's object its file; ministack has joined it of empty parts."""
    parts, path = _completed.get(({}, Path()))
    if parts:
        with path.open("wb") as file:
            for number in [part["PartNumber"] for part in obj["parts"]]:
                body = parts[number]["body"]
                if isinstance(body, _Part):
                    with body.path.open("rb") as source:
                        shutil.copyfileobj(source, file, CHUNK)
                else:  # of UploadPartCopy
                    file.write(body)
        data = obj["body"] = Stored.of(path)
        obj["size"] = len(data)
        for part in obj["parts"]:
            part["Size"] = parts[part["PartNumber"]]["size"]
    original(bucket, key, obj, data, *tags)


def _md5(data: Any = b"", **options: Any) -> Any:
    return data if isinstance(data, _Part) else hashlib.md5(data, **options)  # noqa: S324 (an ETag is one)


def _make_room(size: int) -> None:
    """Raise OSError when the disk has no room for an object, before ministack records it and writes its bytes."""
    if size and hasattr(os, "posix_fallocate"):  # macOS has none
        with tempfile.TemporaryFile(dir=_parts()) as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _parts() -> Path:
    folder = Path(inner(S3, "DATA_DIR"), ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
