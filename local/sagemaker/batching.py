"""How batch transform cuts an object into payloads and puts the answers together."""

from collections.abc import Iterable, Iterator

from local.sagemaker.errors import JobError


def records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The non-empty lines of a stream, without their line ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines if line.strip())
    if rest.strip():
        yield rest


def payloads(lines: Iterable[bytes], limit: int, many: bool) -> Iterator[bytes]:
    """Lines as payloads of at most `limit` bytes: as many as fit into each (MultiRecord), or one.

    Raises:
        JobError: A line is longer than the limit.
    """
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if len(line) > limit:
            raise JobError(f"ClientError: a record of {len(line)} bytes is larger than MaxPayloadInMB ({limit} bytes)")
        if batch and (not many or size + len(line) + 1 > limit):
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line) + (1 if size else 0)
    if batch:
        yield b"\n".join(batch)


def assembled(answer: bytes, assemble_with: str) -> bytes:
    """An answer as it goes into the output object: AssembleWith Line ends each with a line end, None adds nothing."""
    return answer + b"\n" if assemble_with == "Line" and not answer.endswith(b"\n") else answer
