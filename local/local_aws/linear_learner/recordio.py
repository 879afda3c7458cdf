"""RecordIO-wrapped protobuf, `aialgs.data.Record`, read and written without protobuf.

A frame is u32 0xCED7230A, u32 length, the record, zeros up to a multiple of 4 ("Common data formats for training"; the
field numbers are those of `sagemaker.amazon.record_pb2`). Tensors are Float32: the algorithm takes no other.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from local_aws.linear_learner.common import ClientError, Floats
from local_aws.linear_learner.csv_text import finite

MAGIC = 0xCED7230A
BLOCK_BYTES = 4 << 20
MAX_DIMENSION = 10_000_000
_HEAD = struct.Struct("<II")
_FEATURES, _LABEL = 1, 2
_FLOAT32 = 2
Payload = bytes | memoryview
_NAMES = {3: "float64", 7: "int32", 9: "bytes"}


@dataclass(frozen=True)
class _Vector:
    """A tensor as dense values; `start` is where its bytes are in the payload, None when it was sparse."""

    values: Floats
    start: int | None


def parse(payload: Payload, labelled: bool = False) -> Floats:
    """(rows, columns) of whole frames, with the label first if `labelled`. Raises ValueError: the record's number."""
    table = _alike(payload, labelled)
    number, rows, at = 1, [], 0
    try:
        while table is None and at < len(payload):
            start, end, at = _frame(payload, at)
            vectors = _vectors(payload, start, end, labelled)
            rows.append(np.concatenate([vector.values for vector in vectors]))
            if len(rows[-1]) != len(rows[0]):
                raise ValueError(f"{len(rows[-1])} values after records of {len(rows[0])}")
            finite(rows[-1])
            number += 1
        return finite(np.stack(rows) if rows else np.empty((0, 0), np.float32)) if table is None else finite(table)
    except (ValueError, LookupError, struct.error) as error:
        raise ValueError(number, str(error)) from None


def blocks(stream: IO[bytes], path: Path) -> Iterator[Floats]:
    """The rows of one file, label first, some megabytes at a time.

    Raises ClientError: with the record's number and what is wrong with it.
    """
    rest, seen = b"", 0
    while data := stream.read(BLOCK_BYTES):
        payload = rest + data
        end = _whole_frames(payload)
        rest = payload[end:]
        if end:
            table = _checked(memoryview(payload)[:end], seen, path)  # a slice of bytes would be a copy
            seen += len(table)
            yield table
    if rest:
        yield _checked(rest, seen, path)


def encode(labels: Mapping[str, Floats]) -> bytes:
    """One record a row, each label as a Float32 tensor: (rows,) or (rows, values) arrays by name."""
    parts = []
    for row in range(len(next(iter(labels.values())))):
        record = b"".join(_entry(name, np.atleast_1d(values[row])) for name, values in labels.items())
        parts += [_HEAD.pack(MAGIC, len(record)), record, b"\0" * (-len(record) % 4)]
    return b"".join(parts)


def _checked(payload: Payload, seen: int, path: Path) -> Floats:
    try:
        return parse(payload, labelled=True)
    except ValueError as error:
        number, fault = error.args
        raise ClientError(f"Unable to read {path}: record {seen + number}: {fault}") from None


def _frame(payload: Payload, at: int) -> tuple[int, int, int]:
    """Start and end of the record whose frame begins at `at`, and where the next frame begins."""
    magic, length = _HEAD.unpack_from(payload, at)
    start = at + _HEAD.size
    if magic != MAGIC:
        raise ValueError("it does not begin with RecordIO's magic number; the content type may be another one")
    if start + length > len(payload):
        raise ValueError(f"it is cut off: {len(payload) - start} of {length} bytes")
    return start, start + length, start + length + (-length % 4)


def _whole_frames(payload: Payload) -> int:
    """The length of the frames in a payload that are complete; 0 also when the first one is none."""
    at = _first_frames(payload)
    while at + _HEAD.size <= len(payload):
        magic, length = _HEAD.unpack_from(payload, at)
        following = at + _HEAD.size + length + (-length % 4)
        if magic != MAGIC or following > len(payload):
            break
        at = following
    return at


def _first_frames(payload: Payload) -> int:
    """The length of the first frames that have the head of the very first: most files have no others."""
    try:
        _, _, size = _frame(payload, 0)
    except (ValueError, struct.error):
        return 0
    if size > len(payload):
        return 0
    same = _same(payload, size, 0, _HEAD.size)
    return size * (len(same) if same.all() else int(same.argmin()))


def _same(payload: Payload, size: int, first: int, last: int) -> NDArray[np.bool_]:
    """Which frames of this size have the bytes `first` to before `last` of the first one, up to eight at a time."""
    same = np.ones(len(payload) // size, np.bool_)
    while first < last:
        width = next(width for width in (8, 4, 2, 1) if first + width <= last)
        numbers: NDArray[Any] = np.ndarray(len(same), f"<u{width}", payload, first, (size,))
        same &= numbers == numbers[0]
        first += width
    return same


def _alike(payload: Payload, labelled: bool) -> Floats | None:
    """Dense records that differ in nothing but their numbers, as most files have, are taken all at once."""
    try:
        start, end, size = _frame(payload, 0)
        vectors = _vectors(payload, start, end, labelled)
    except (ValueError, LookupError, struct.error):
        return None
    if len(payload) % size or any(vector.start is None for vector in vectors):
        return None
    frames = np.frombuffer(payload, np.uint8).reshape(-1, size)
    spans = [(vector.start or 0, (vector.start or 0) + 4 * len(vector.values)) for vector in vectors]
    at = 0
    for first, last in [*sorted(spans), (size, size)]:
        if not _same(payload, size, at, first).all():
            return None
        at = last
    table: Floats = np.concatenate([frames[:, first:last] for first, last in spans], axis=1).view(np.float32)
    return table


def _vectors(payload: Payload, start: int, end: int, labelled: bool) -> list[_Vector]:
    """The features of one record, after its label when wanted."""
    found: dict[int, _Vector] = {}
    for field, value in _fields(payload, start, end):
        if field in (_FEATURES, _LABEL):
            entry = dict(_fields(payload, *_span(value)))
            found[field] = _tensor(payload, *_span(entry[2]))
    if _FEATURES not in found:
        raise ValueError("it has no features")
    if labelled and (_LABEL not in found or len(found[_LABEL].values) != 1):
        raise ValueError("it has no label of one value")
    return [found[_LABEL], found[_FEATURES]] if labelled else [found[_FEATURES]]


def _tensor(payload: Payload, start: int, end: int) -> _Vector:
    ((kind, body),) = _fields(payload, start, end)
    if kind != _FLOAT32:
        raise ValueError(f"its tensor is {_NAMES.get(kind, 'unknown')}; write Float32 tensors")
    values, keys, shape = list[Floats](), list[int](), list[int]()
    where: int | None = None
    for field, value in _fields(payload, *_span(body)):
        if field == 1:
            first, last = _span(value)
            where = first if not values else None
            values.append(np.frombuffer(payload[first:last], "<f4"))
        else:
            numbers = [value] if isinstance(value, int) else list(_varints(payload, *value))
            (keys if field == 2 else shape).extend(numbers)
    dense = np.concatenate(values) if values else np.empty(0, np.float32)
    if not keys and not (shape and not len(dense)):
        return _Vector(dense, where)
    if not shape or shape[-1] > MAX_DIMENSION or len(keys) != len(dense) or max(keys, default=0) >= shape[-1]:
        raise ValueError("its sparse tensor needs a shape, and a key below it for each value")
    scattered = np.zeros(shape[-1], np.float32)
    scattered[keys] = dense
    return _Vector(scattered, None)


def _fields(payload: Payload, at: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Field number with an integer, or with start and end of its bytes."""
    while at < end:
        tag, at = _varint(payload, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(payload, at)
            yield tag >> 3, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError("it is not a protobuf record")
        length, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _varint(payload, at)
        if at + length > end:
            raise ValueError("it is not a protobuf record")
        yield tag >> 3, (at, at + length)
        at += length


def _span(value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, int):
        raise ValueError("it is not a protobuf record")
    return value


def _varint(payload: Payload, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("it is not a protobuf record")


def _varints(payload: Payload, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _varint(payload, at)
        yield value


def _bytes(field: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([field << 3 | 2]) + length + bytes([size]) + content


def _entry(name: str, values: Floats) -> bytes:
    tensor = _bytes(_FLOAT32, _bytes(1, values.astype("<f4").tobytes()))
    return _bytes(_LABEL, _bytes(1, name.encode()) + _bytes(2, tensor))
