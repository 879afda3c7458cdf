"""Drift checks: the newest one's verdict and figures, a new one on request, and ground truth for them."""

import csv
import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ops.account import Account, OpsError
from ops.output import Exit, Result, command, table
from ops.runs import describe, file_of

CODES = {"no drift": Exit.OK, "drift": Exit.REJECTED, "not enough data": Exit.NOTHING}
NO_CAPTURE = "SageMaker captures no requests of a serverless endpoint, so there are no drift checks and no live quality"
Check = dict[str, Any]
"""A check that has ended: {check, status, verdict, reason, when, warnings}.

Verdict: drift, no drift, not enough data, failed.
"""


@command
def drift(
    account: Account,
    now: Annotated[bool, typer.Option("--now", help="Run a check now instead of showing the last one.")] = False,
) -> Result:
    """Show whether live traffic has drifted. Exit code: 3 drift, 4 no check or not enough data, 1 the check failed."""
    _require_capture(account)
    if now:
        arn = account.states.start_execution(stateMachineArn=account.outputs["DriftMachine"])["executionArn"]
        while describe(account, arn).running:
            time.sleep(account.pause)
        found: Check | None = _check(account, arn)
    else:
        found = latest_check(account)
    if found is None:
        return Result(None, "no check has run yet: `ops drift --now` runs one", Exit.NOTHING)
    details = file_of(account, found["check"], "drift/drift.json")
    return Result({**found, "details": details}, described(found, details), CODES.get(found["verdict"], Exit.FAILED))


def _require_capture(account: Account) -> None:
    if account.settings.endpoint.serverless:
        raise OpsError(NO_CAPTURE)


def latest_check(account: Account) -> Check | None:
    """The newest check that has ended; None when there was none."""
    ended = (each["executionArn"] for each in account.executions("DriftMachine") if each["status"] != "RUNNING")
    newest = next(ended, None)
    return _check(account, newest) if newest else None


def _check(account: Account, arn: str) -> Check:
    run = describe(account, arn)
    verdict, reason = (run.outcome, run.why) if run.status == "SUCCEEDED" else ("failed", run.outcome)
    found = {"check": run.name, "status": run.status, "verdict": verdict, "reason": reason, "when": run.stopped}
    return {**found, "warnings": run.warnings}


def most_drifted(details: dict[str, Any], count: int) -> list[tuple[str, dict[str, Any]]]:
    """The features of drift.json with the largest PSI, the largest first."""
    return sorted(details.get("features", {}).items(), key=lambda item: -item[1]["psi"])[:count]


def described(found: Check, details: dict[str, Any]) -> Iterator[str | Table]:
    """A check and its drift.json as text: the verdict, live quality, and a table of the features that moved most."""
    yield f"{found['when']:%F %T} {found['verdict']}: {found['reason']}"
    yield from (f"warning: {warning}" for warning in found["warnings"])
    if (quality := details.get("quality", {})).get("joined"):
        figures = ", ".join(f"{name} {value:.4g}" for name, value in quality["metrics"].items())
        yield f"live quality of {quality['joined']} rows with ground truth: {figures or 'only one label so far'}"
    if worst := most_drifted(details, 10):
        keys = ("psi", "ks", "missing", "out_of_range")
        rows = ((name, *(each.get(key) for key in keys)) for name, each in worst)
        yield table(("feature", "PSI", "KS", "missing", "out of range"), rows)
        if any("counts" in each for _, each in worst):
            yield "a level that the training data lack is out of range; categories have no KS"
        for name, each in worst:
            if unknown := each.get("unknown"):
                # As JSON: whoever calls the API chooses these texts.
                yield f"{name} had {', '.join(f'{json.dumps(level)} {count}' for level, count in unknown.items())}"


@command
def feedback(
    account: Account, file: Annotated[Path, typer.Argument(help="A CSV with the header inference_id,row,label.")]
) -> Result:
    """Upload ground truth; the next drift check measures the live model's quality with it."""
    _require_capture(account)
    bucket, rows = account.outputs["DataBucket"], check(file, account.settings.data.classes)
    # A check reads the keys in alphabetical order, and the last label of a row counts.
    key = f"ground-truth/{datetime.now(UTC):%Y-%m-%d/%H%M%S%f}-{file.name}"
    account.s3.upload_file(str(file), bucket, key)
    uri = f"s3://{bucket}/{key}"
    return Result({"uploaded": uri, "rows": rows}, f"uploaded {rows} rows to {uri}; `ops drift --now` uses them")


def check(file: Path, classes: tuple[str, ...]) -> int:
    """The number of rows of a ground truth CSV, whose column `row` may be missing. Raises OpsError with the line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:  # Excel's CSV begins with a byte order mark
            reader = csv.DictReader(lines)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    if missing := [name for name in ("inference_id", "label") if name not in columns]:
        raise OpsError(f"{file}: no column {', '.join(missing)}: the header is inference_id,row,label")
    for number, row in enumerate(rows, 2):
        if fault := _fault(row, classes):
            raise OpsError(f"{file}, line {number}: {fault}")
    if not rows:
        raise OpsError(f"{file}: a header and no rows")
    return len(rows)


def _fault(line: dict[str, str], classes: tuple[str, ...]) -> str:
    if None in line or None in line.values():
        return "has fewer or more values than the header"
    if not line["inference_id"]:
        return "no inference_id: it is the answer's header X-Inference-Id"
    if (row := line.get("row")) and not (row.isdecimal() and int(row)):
        return f"row is {row!r}: count the request's rows from 1"
    if classes:
        from pipeline.jobs.shared.labels import class_of  # imports pyarrow, which other commands need not wait for

        known = class_of(line["label"], classes) is not None
        return "" if known else f"label is {line['label']!r}: give one of {', '.join(classes)}"
    try:
        known = math.isfinite(float(line["label"]))
    except ValueError:
        known = False
    return "" if known else f"label is {line['label']!r}: give a number"
