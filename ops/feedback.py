"""Late ground truth: what the right answers would have been, by the inference id that each answer came with."""

import csv
from datetime import UTC, datetime
from pathlib import Path

from ops.account import Account, OpsError

COLUMNS = ("inference_id", "label")
"""And, for requests of many rows, `row`, counted from 1."""


class BadFeedback(OpsError):
    """The file is no ground truth; the message names the line."""


def feedback(account: Account, file: Path) -> tuple[str, int]:
    """Check the CSV and upload it; returns its S3 URI and number of rows.

    Raises:
        BadFeedback: a column is missing, or a line has no id, no row number or no label that the settings know.
    """
    bucket = account.outputs["DataBucket"]
    rows = check(file, account.settings.data.classes)
    key = f"feedback/{datetime.now(UTC):%Y-%m-%d}/{file.name}"
    account.s3.upload_file(str(file), bucket, key)
    return f"s3://{bucket}/{key}", rows


def check(file: Path, classes: tuple[str, ...]) -> int:
    """The number of rows of a ground truth CSV. Raises BadFeedback."""
    rows = 0
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise BadFeedback(f"{file}: no column {', '.join(missing)}: the header is inference_id,row,label")
            for number, line in enumerate(reader, 2):
                _check(f"{file}, line {number}", line, classes)
                rows += 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFeedback(f"{file}: {error}") from error
    if not rows:
        raise BadFeedback(f"{file}: a header and no rows")
    return rows


def _check(place: str, line: dict[str, str], classes: tuple[str, ...]) -> None:
    if not line["inference_id"]:
        raise BadFeedback(f"{place}: no inference_id: it is the answer's header X-Inference-Id")
    if line.get("row") and not line["row"].isdigit():
        raise BadFeedback(f"{place}: row is {line['row']!r}: count the request's rows from 1")
    if classes and line["label"] not in classes:
        raise BadFeedback(f"{place}: label is {line['label']!r}: give one of {', '.join(classes)}")
    if not classes:
        try:
            float(line["label"])
        except ValueError:
            raise BadFeedback(f"{place}: label is {line['label']!r}: give a number") from None
