"""Upload ground truth: the right labels, by the inference id of each answer."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Result, command

COLUMNS = ("inference_id", "label")
"""The columns that a file must have; `row`, counted from 1, is for requests of many rows."""


@command
def feedback(
    account: Account, file: Annotated[Path, typer.Argument(help="A CSV with the header inference_id,row,label.")]
) -> Result:
    """Upload ground truth; the next drift check measures the live model's quality with it."""
    bucket, rows = account.outputs["DataBucket"], check(file, account.settings.data.classes)
    key = f"ground-truth/{datetime.now(UTC):%Y-%m-%d}/{file.name}"
    account.s3.upload_file(str(file), bucket, key)
    uri = f"s3://{bucket}/{key}"
    return Result({"uploaded": uri, "rows": rows}, f"uploaded {rows} rows to {uri}; `ops drift --now` uses them")


def check(file: Path, classes: tuple[str, ...]) -> int:
    """The number of rows of a ground truth CSV. Raises OpsError with the line of the first fault."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    if missing := [name for name in COLUMNS if name not in columns]:
        raise OpsError(f"{file}: no column {', '.join(missing)}: the header is inference_id,row,label")
    for number, row in enumerate(rows, 2):
        if fault := _fault(row, classes):
            raise OpsError(f"{file}, line {number}: {fault}")
    if not rows:
        raise OpsError(f"{file}: a header and no rows")
    return len(rows)


def _fault(line: dict[str, str], classes: tuple[str, ...]) -> str:
    if not line["inference_id"]:
        return "no inference_id: it is the answer's header X-Inference-Id"
    if line.get("row") and not line["row"].isdigit():
        return f"row is {line['row']!r}: count the request's rows from 1"
    if classes:
        return "" if line["label"] in classes else f"label is {line['label']!r}: give one of {', '.join(classes)}"
    try:
        float(line["label"])
    except ValueError:
        return f"label is {line['label']!r}: give a number"
    return ""
