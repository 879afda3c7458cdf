"""Requests and answers of the model server ("Linear learner response formats", "Common data formats for inference")."""

import json
import math
from typing import Any

import numpy as np

from local_aws.linear_learner import csv_text, recordio
from local_aws.linear_learner.common import Floats
from local_aws.linear_learner.predict import Predictions

LARGEST = 3.4e38
JSON, JSON_LINES, RECORDIO = "application/json", "application/jsonlines", "application/x-recordio-protobuf"


class UnsupportedContentType(Exception):
    """The container takes no such requests."""


def decode(body: bytes, content_type: str, features: int) -> Floats:
    """The rows of a request, (rows, features).

    Raises:
        UnsupportedContentType: Not one of the four formats.
        ValueError: The payload is not rows of that many finite numbers; `args` say where.
    """
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    match media:
        case "text/csv":
            rows = csv_text.parse(body)
            rows = rows[:, 1:] if "label_size=1" in parameters else rows
        case "application/json":
            document = _json(body)
            if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
                raise ValueError(1, 'the payload has no list "instances"')
            rows = _table(document["instances"], features)
        case "application/jsonlines" | "application/jsonlines+json":
            rows = _json_lines(body, features)
        case "application/x-recordio-protobuf":
            rows = recordio.parse(body)
        case _:
            raise UnsupportedContentType(f"content-type {content_type} not supported")
    if not len(rows):
        raise ValueError(1, "the payload has no rows")
    if rows.shape[1] != features:
        raise ValueError(1, f"{rows.shape[1]} features, the model takes {features}")
    return rows


def encode(predictions: Predictions, accept: str) -> tuple[bytes, str]:
    """The answer and its content type: JSON lines or recordio when asked for, else JSON. CSV is never written."""
    wanted = [part.split(";")[0].strip() for part in accept.lower().split(",")]
    media = next((name for name in wanted if name in (JSON_LINES, RECORDIO, JSON)), JSON)
    if media == RECORDIO:
        return recordio.encode(predictions.columns()), media
    records = predictions.records()
    if media == JSON_LINES:
        return "".join(record + "\n" for record in records).encode(), media
    return f'{{"predictions": [{", ".join(records)}]}}'.encode(), JSON


def _json_lines(body: bytes, features: int) -> Floats:
    if len(body) > csv_text.LARGE and (rows := _by_arrow(body, features)) is not None:
        return rows
    return _table([_json(line) for line in body.splitlines() if line.strip()], features)


def _by_arrow(body: bytes, features: int) -> Floats | None:
    """The rows of JSON lines that are all alike, in a third of the time; None if pyarrow finds anything else."""
    import pyarrow  # noqa: PLC0415 (importing it takes longer than a small payload)
    from pyarrow import json as pyarrow_json  # noqa: PLC0415

    schema = pyarrow.schema([("features", pyarrow.list_(pyarrow.float64()))])
    try:
        table = pyarrow_json.read_json(
            pyarrow.BufferReader(body),
            pyarrow_json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            pyarrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pyarrow.ArrowInvalid:
        return None
    column = table.column(0).chunk(0)
    values = column.flatten()
    if column.null_count or values.null_count or len(column) != body.count(b"\n") + (not body.endswith(b"\n")):
        return None
    if (np.from_dlpack(column.value_lengths()) != features).any():
        return None
    numbers = np.from_dlpack(values)  # not to_numpy, which imports pandas
    if not np.abs(numbers).max() <= LARGEST:
        return None
    rows: Floats = numbers.astype(np.float32).reshape(-1, features)
    return rows


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(1, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(1, f"the payload is not JSON: {error}") from None


def _vector(instance: Any, row: int) -> list[Any]:
    """`{"features": [...]}` or `{"data": {"features": {"values": [...]}}}`, with keys and shape when sparse."""
    try:
        features = instance["features"] if "features" in instance else instance["data"]["features"]
        if isinstance(features, list):
            return features
        values = features["values"]
        if "keys" not in features:
            return list(values)
        keys, (*_, length) = features["keys"], features["shape"]
        if len(keys) != len(values) or not 0 <= length <= recordio.MAX_DIMENSION:
            raise ValueError
        dense = [0.0] * length
        for key, value in zip(keys, values, strict=True):
            if key < 0:
                raise ValueError
            dense[key] = value
        return dense
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(row, 'neither {"features": [...]} nor a sparse vector') from None


def _table(instances: list[Any], features: int) -> Floats:
    vectors = [_vector(instance, row) for row, instance in enumerate(instances, 1)]
    for row, vector in enumerate(vectors, 1):
        if len(vector) != features:
            raise ValueError(row, f"{len(vector)} features, the model takes {features}")
        for column, value in enumerate(vector, 1):
            if type(value) not in (float, int) or abs(value) > LARGEST or not math.isfinite(value):
                raise ValueError(row, f"column {column}: {str(value)[:40]} is not a finite number")
    return np.array(vectors, np.float32).reshape(len(vectors), features)
