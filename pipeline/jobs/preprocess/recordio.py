"""RecordIO-wrapped protobuf, which the linear learner's training reads: half the bytes of CSV, and no text to parse.

A frame is u32 0xCED7230A, u32 length, a `aialgs.data.Record` of one Float32 tensor each of features and label, zeros up
to a multiple of 4 ("Common data formats for training"; field numbers of `sagemaker.amazon.record_pb2`). All frames of a
table have the same length, so a frame is found by its number.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats

CONTENT_TYPE = "application/x-recordio-protobuf"
MAGIC = struct.pack("<I", 0xCED7230A)
_FEATURES, _LABEL, _FLOAT32 = 1, 2, 2


def frames(labels: NDArray[Any], features: Floats) -> memoryview:
    """Return a frame per row, as bytes, of labels (rows,) and features (rows, width).

    Numbers beyond Float32 become infinite.
    """
    frame, form = _frame(features.shape[1])
    table = np.tile(np.frombuffer(frame, np.uint8), len(labels)).view(form)
    with np.errstate(over="ignore"):
        table["features"], table["label"] = features, labels
    return table.view(np.uint8).data


def features_of(framed: bytes | memoryview, width: int) -> Floats:
    """Return the features (rows, width) of what `frames` made."""
    _, form = _frame(width)
    return np.frombuffer(framed, form)["features"].astype(np.float64)


def _frame(width: int) -> tuple[bytes, np.dtype[Any]]:
    """Return a frame of zeros, and where its features and its label are."""
    # An entry of the map from names to tensors: "values", and its numbers.
    features, label = (
        _field(part, _field(1, b"values") + _field(2, _field(_FLOAT32, _field(1, bytes(4 * size)))))
        for part, size in ((_FEATURES, width), (_LABEL, 1))
    )
    record = features + label
    head = MAGIC + struct.pack("<I", len(record))
    frame, first = head + record + bytes(-len(record) % 4), len(head) + len(features)
    form = np.dtype(
        {
            "names": ["features", "label"],
            "formats": [f"({width},)<f4", "<f4"],
            "offsets": [first - 4 * width, first + len(label) - 4],
            "itemsize": len(frame),
        }
    )
    return frame, form


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf's wire type 2: its tag, its length as a varint, its bytes."""
    length, digits = len(content), b""
    while length > 127:
        digits, length = digits + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + digits + bytes([length]) + content
