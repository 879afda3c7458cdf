"""The rows, answers and inference ids of an endpoint's data capture, in batches."""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ..shared.arrow import Floats, to_numpy, to_table
from ..shared.encoder import OTHER, BadRows, Encoder, level_of
from ..shared.json_lines import BLOCK_BYTES, Block, read_blocks
from ..shared.settings import JobSettings

_SIDE = pa.struct([("data", pa.string()), ("encoding", pa.string())])
_EVENT = pa.struct([(name, pa.string()) for name in ("eventId", "inferenceId", "inferenceTime")])
_RECORD = pa.schema(
    [("captureData", pa.struct([("endpointInput", _SIDE), ("endpointOutput", _SIDE)])), ("eventMetadata", _EVENT)]
)
Request = tuple[str, str, int]  # inference id, time and number of rows
_INFERENCE_ID = re.compile(r"([0-9a-f]{16}):(.*)")
"""The API's: the signature that it built the rows by, and the caller's id of them."""


@dataclass(frozen=True)
class CapturedRows:
    """Rows in the order of their files; a value that was left out or is no number is NaN.

    With an encoder, values are as it reads them: numbers, and places of levels.
    """

    features: Floats  # shape (rows, features)
    scores: Floats  # shape (rows,), or (rows, classes) for multiclass
    classes: Floats  # shape (rows,): predicted class numbers; NaN for regression
    keys: NDArray[np.bytes_]  # shape (rows,): `row_key` of inference id and number of the row in its request, from 1
    times: NDArray[Any]  # shape (rows,): the time of each answer, ISO 8601 in UTC: as text in the order of time
    requests: int
    unreadable: int  # records that have no row of this model's width, or no answer to each
    texts: dict[int, list[str]] = field(default_factory=dict)  # of each row, by feature, where levels are unknown


def row_key(inference: str, row: int) -> bytes:
    """Return both values in one that can be sorted."""
    return f"{inference},{row}".encode("utf-8", "surrogatepass")


def read_data_capture(
    directory: Path, settings: JobSettings, encoder: Encoder | None = None, signature: str = ""
) -> Iterator[CapturedRows]:
    """Yield the `.jsonl` files under a directory, by path, in batches; a record that cannot be read is counted.

    An encoder reads the raw rows of a table that has one. Requests whose rows the API built by another signature than
    the one named are left out: it asked again after a switch of the model, and nobody got their answers.
    """
    held = bytearray()
    for block in read_blocks(directory, ".jsonl"):
        held += block.text if block.text.endswith(b"\n") else block.text + b"\n"
        if len(held) >= BLOCK_BYTES:
            yield _batch(bytes(held), settings, encoder, signature)
            held.clear()
    yield _batch(bytes(held), settings, encoder, signature)


def _batch(text: bytes, settings: JobSettings, encoder: Encoder | None, signature: str) -> CapturedRows:
    # Text that pyarrow cannot read as a whole is read record by record, as one may be unreadable alone.
    block = Block("", 1, text)
    return _by_columns(block, settings, encoder, signature) or _by_record(block, settings, encoder, signature)


def _by_columns(block: Block, settings: JobSettings, encoder: Encoder | None, signature: str) -> CapturedRows | None:
    columns = block.columns(_RECORD)
    if columns is None:
        return None
    event, inference, times = columns[1].flatten()
    ids = [_parted(name) for name in pc.coalesce(inference, event).to_pylist()]
    if not all(own := [by in ("", signature) for by, _ in ids]):
        kept = pa.array(own)
        columns, event, times = [column.filter(kept) for column in columns], event.filter(kept), times.filter(kept)
        ids = [each for each, is_own in zip(ids, own, strict=True) if is_own]
    (inputs, input_encodings), (outputs, output_encodings) = (side.flatten() for side in columns[0].flatten())
    encodings = set(pc.unique(input_encodings).to_pylist() + pc.unique(output_encodings).to_pylist())
    if any(column.null_count for column in (inputs, outputs, event, times)) or not encodings <= {"CSV", "JSON"}:
        return None
    given, answers = inputs.to_pylist(), _answers_of_all(outputs.to_pylist(), settings)
    text = "\n".join(body.removesuffix("\n") for body in given)
    features = _table(text.encode(), settings, encoder)
    if answers is None or features is None:
        return None
    counts, scores, classes = answers
    if [body.rstrip("\n").count("\n") + 1 for body in given] != counts or len(features) != sum(counts):
        return None
    names = [name or at for (_, name), at in zip(ids, event.to_pylist(), strict=True)]
    requests = list(zip(names, times.to_pylist(), counts, strict=True))
    return replace(_captured(features, scores, classes, requests, 0), texts=_texts(text, features, encoder))


def _parted(inference: str | None) -> tuple[str, str]:
    """Return the signature that a request's rows were built by, "" if its id names none, and the id without it."""
    found = _INFERENCE_ID.fullmatch(inference or "")
    return (found[1], found[2]) if found else ("", inference or "")


def _answers_of_all(texts: list[str], settings: JobSettings) -> tuple[list[int], Floats, Floats] | None:
    """Return the number of answers per request, and the scores and classes of all of them."""
    width = settings.score_width
    score = pa.list_(pa.float64()) if width else pa.float64()
    answer = pa.struct([("score", score), ("predicted_label", pa.float64())])
    found = Block("", 1, "\n".join(texts).encode()).columns(pa.schema([("predictions", pa.list_(answer))]))
    if found is None or found[0].null_count:
        return None
    scores, classes = found[0].flatten().flatten()
    table = to_table(scores, width)
    if table is None or classes.null_count not in (0, len(classes)):
        return None
    return to_numpy(found[0].value_lengths()).tolist(), table, _filled(classes)


def _table(text: bytes, settings: JobSettings, encoder: Encoder | None) -> Floats | None:
    names = list(settings.features)
    try:
        if encoder is not None:
            return np.column_stack(encoder.read(text))
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(column_names=names),
            pa_csv.ParseOptions(quote_char=False),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
        )
    except (pa.ArrowInvalid, BadRows):
        return None
    return np.column_stack([_filled(pa.concat_arrays(column.chunks)) for column in table.columns])


def _filled(column: pa.Array) -> Floats:
    return to_numpy(pc.fill_null(column, float("nan")))


def _by_record(block: Block, settings: JobSettings, encoder: Encoder | None, signature: str) -> CapturedRows:
    features: list[list[float]] = []
    scores: list[Any] = []
    classes: list[float] = []
    requests: list[Request] = []
    bodies: list[str] = []
    unreadable, width = 0, settings.score_width
    for _, _, record in block.documents():
        try:
            data, event = record["captureData"], record["eventMetadata"]
            by, name = _parted(event.get("inferenceId", event["eventId"]))
            if by not in ("", signature):
                continue
            body = _text(data["endpointInput"])
            rows = _rows(body, encoder)
            answers = list(json.loads(_text(data["endpointOutput"]))["predictions"])
            if len(rows) != len(answers) or any(len(row) != len(settings.features) for row in rows):
                raise ValueError("rows of another width, or not an answer to each")
            found = [answer["score"] for answer in answers]
            if width and any(len(score) != width for score in found):
                raise ValueError("not a score per class")
            labels = [float(answer.get("predicted_label", "nan")) for answer in answers]
            request = name or event["eventId"], event["inferenceTime"], len(rows)
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
            continue
        features += rows
        scores += found
        classes += labels
        requests.append(request)
        bodies.append(body.removesuffix("\n"))
    table = np.array(features, dtype=float).reshape(-1, len(settings.features))
    shaped = np.array(scores, dtype=float).reshape((-1, width) if width else -1)
    texts = _texts("\n".join(bodies), table, encoder)
    return replace(_captured(table, shaped, np.array(classes, dtype=float), requests, unreadable), texts=texts)


def _captured(
    features: Floats, scores: Floats, classes: Floats, requests: list[Request], unreadable: int
) -> CapturedRows:
    keys = [row_key(name, row) for name, _, count in requests for row in range(1, count + 1)]
    counts = np.array([count for _, _, count in requests], np.int64)
    times = np.repeat(np.array([at for _, at, _ in requests], np.str_), counts)
    total = len(requests) + unreadable
    features[~np.isfinite(features)] = np.nan
    return CapturedRows(features, scores, classes, np.array(keys, np.bytes_), times, total, unreadable)


def _texts(text: str, features: Floats, encoder: Encoder | None) -> dict[int, list[str]]:
    """Return the texts of features that have an unknown level, as levels are written."""
    kinds = [feature.kind for feature in encoder.features] if encoder else []
    wanted = [at for at, kind in enumerate(kinds) if kind == "categorical" and (features[:, at] == OTHER).any()]
    rows = list(csv.reader(io.StringIO(text))) if wanted else []
    return {at: [level_of(row[at]) if row else "" for row in rows] for at in wanted}


def _text(side: dict[str, Any]) -> str:
    data = side["data"]
    return base64.b64decode(data).decode("utf-8") if side["encoding"] == "BASE64" else str(data)


def _rows(text: str, encoder: Encoder | None) -> list[list[float]]:
    """Return the rows of a request. Raises BadRows: the encoder cannot read them."""
    if encoder is not None:
        rows: list[list[float]] = np.column_stack(encoder.read(text.encode())).tolist()
        return rows
    return [[_number(cell) for cell in line.split(",")] for line in text.splitlines() if line.strip()]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
