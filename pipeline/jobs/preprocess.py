"""Raw CSV -> train, validation and hold-out in the forms the algorithm reads, and a baseline of the data."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
from arrow import to_arrow
from baseline import baseline
from csv_rows import Floats, read_rows
from job_settings import JobSettings, read_settings
from split import Part, distinct, row_keys, split

ROWS_AT_A_TIME = 65_536


def run(settings: Path, source: Path, output: Path) -> None:
    """Read every CSV under `source`, check it, and write the parts and the baseline under `output`.

    train/train.csv and validation/validation.csv are label first without a header, as the linear learner reads CSV;
    holdout/holdout.jsonl has the features, labels/labels.jsonl the row's key and label, line by line.

    Raises:
        JobError: the settings or the data are not usable; nothing is written then.
    """
    wanted = read_settings(settings)
    rows = read_rows(source, wanted)
    keys = row_keys(rows.features, wanted.salt)
    parts = split(rows, keys, distinct(rows, keys, wanted), wanted)
    for name in ("train", "validation"):
        with _created(output / name / f"{name}.csv") as file:
            for block in _blocks(parts[name]):
                file.write(_csv(block.labels, block.features, wanted))
    with _created(output / "holdout" / "holdout.jsonl") as file:
        for block in _blocks(parts["holdout"]):
            lines = _csv(None, block.features, wanted).splitlines()
            file.write(b"".join(b'{"features":[%b]}\n' % line for line in lines))
    with _created(output / "labels" / "labels.jsonl") as file:
        for block in _blocks(parts["holdout"]):
            lines = _csv(block.labels, None, wanted).splitlines()
            file.write(
                b"".join(
                    b'{"row":"%016x","label":%b}\n' % pair for pair in zip(block.keys.tolist(), lines, strict=True)
                )
            )
    with _created(output / "baseline" / "baseline.json") as file:
        document = baseline(parts, len(rows.labels), wanted)
        file.write(json.dumps(document, indent=2).encode("utf-8") + b"\n")
    counts = ", ".join(f"{name} {len(part.labels)}" for name, part in parts.items())
    print(f"{len(rows.labels)} rows in {len(rows.files)} file(s), each different one once: {counts}")


def _created(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _blocks(part: Part) -> Iterator[Part]:
    for start in range(0, len(part.labels), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        yield Part(part.keys[rows], part.features[rows], part.labels[rows])


def _csv(labels: Floats | None, features: Floats | None, settings: JobSettings) -> bytes:
    """Return the columns as CSV text; pyarrow writes the shortest digits that read back as the same number."""
    columns = [] if features is None else list(features.T)
    if labels is not None:
        columns.insert(0, labels.astype("int64") if settings.classes else labels)
    table = pa.table([to_arrow(column) for column in columns], names=[str(number) for number in range(len(columns))])
    text = io.BytesIO()
    pa_csv.write_csv(table, text, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return text.getvalue()
