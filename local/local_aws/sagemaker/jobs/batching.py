"""How batch transform cuts an object into payloads and puts the answers together."""

import re
from collections.abc import Iterable, Iterator
from typing import IO

from local_aws.sagemaker.api.errors import JobError

CHUNK = 1 << 18
_PERHAPS_EMPTY = re.compile(rb"\n\s")


def records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The non-empty lines of a stream, without their line ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines if line.strip())
    if rest.strip():
        yield rest


def single(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """Each record of an object as a payload (SingleRecord). Raises JobError for one longer than `limit` bytes."""
    for record in records(iter(lambda: file.read(CHUNK), b"")):
        if len(record) > limit:
            raise _too_long(len(record), limit)
        yield record


def many(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """An object as payloads of as many records as fit into `limit` bytes (MultiRecord), cut without a look at each.

    Raises:
        JobError: A record is longer than the limit.
    """
    rest = b""
    while text := rest + file.read(limit + 1 - len(rest)):
        cut = text.rfind(b"\n") if len(text) > limit else len(text)
        if cut < 0:
            raise _too_long(len((text + file.readline()).rstrip(b"\r\n")), limit)
        payload, rest = text[:cut].strip(b"\n"), text[cut + 1 :]
        if b"\r" in payload or payload[:1].isspace() or _PERHAPS_EMPTY.search(payload):
            payload = b"\n".join(records([payload]))
        if payload.strip():
            yield payload


def _too_long(length: int, limit: int) -> JobError:
    return JobError(f"ClientError: a record of {length} bytes is larger than MaxPayloadInMB ({limit} bytes)")


def assembled(answer: bytes, assemble_with: str) -> bytes:
    """An answer as it goes into the output object: AssembleWith Line ends each with a line end, None adds nothing."""
    return answer + b"\n" if assemble_with == "Line" and not answer.endswith(b"\n") else answer
