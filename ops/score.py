"""Batch scoring: a file is scored by the live model, row by row."""

import json
import time
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.account import Account, NothingToDo, OpsError
from ops.check import check_names
from ops.data import put
from ops.output import Exit, Result, command, console
from ops.retrain import START_WITHIN_SECONDS, follow
from ops.runs import Run, describe, file_of

FOLDER = "score/"


@command
def score(
    account: Account,
    file: Annotated[
        Path | None, typer.Argument(help="The file, in the format of the data. Default: show the last one.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also download the scored rows to this file.")] = None,
) -> Result:
    """Score a file with the live model and wait for the end. Exit code: 0 scored, 1 failed, 4 nothing to show."""
    if "ScoreMachine" not in account.outputs:
        raise OpsError("batch scoring is off: set score.enabled = true and deploy")
    if file is None:
        newest = next(islice(account.executions("ScoreMachine"), 1), None)
        if newest is None:
            raise NothingToDo("no file was scored yet: `ops score FILE` scores one")
        return _ended(account, follow(account, describe(account, newest["executionArn"])), out)
    return _ended(account, follow(account, _uploaded(account, file)), out)


def _uploaded(account: Account, file: Path) -> Run:
    """Upload a file, and return the execution that this, or else this command, has started. Raises OpsError."""
    check_names([file])
    bucket, (key,) = account.outputs["DataBucket"], put(account, [file], FOLDER)
    if account.settings.score.schedule:
        machine, given = account.outputs["ScoreMachine"], json.dumps({"reason": "manual", "key": key})
        return describe(account, account.states.start_execution(stateMachineArn=machine, input=given)["executionArn"])
    uploaded = account.s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    console().print(f"uploaded s3://{bucket}/{key}; waiting for the upload to start its scoring ...")
    deadline = time.monotonic() + START_WITHIN_SECONDS
    while time.monotonic() < deadline:
        for each in account.executions("ScoreMachine"):
            if each["startDate"] < uploaded:
                break
            if (run := describe(account, each["executionArn"])).request.get("key") == key:
                return run
        time.sleep(account.pause)
    raise OpsError(f"the upload started no scoring in {START_WITHIN_SECONDS} s: `ops doctor` looks for the cause")


def _ended(account: Account, followed: Result, out: Path | None) -> Result:
    """Return the end of an execution with its files, of which the first one is downloaded to `out`."""
    run = followed.document
    assert isinstance(run, Run)
    counts: dict[str, Any] = file_of(account, run.name, "counts/counts.json")
    assert isinstance(followed.text, list)
    bucket, lines = account.outputs["DataBucket"], [*followed.text]
    scored = [f"scored/{each['scored']}" for each in counts.get("files", []) if "scored" in each]
    lines += [f"s3://{bucket}/{key}" for key in scored]
    if counts.get("wrong"):
        lines.append(f"the wrong rows: s3://{bucket}/rows/{run.name}/quarantine/")
    if out and scored:
        account.s3.download_file(bucket, scored[0], str(out))
        lines.append(f"downloaded to {out}")
    document = {**counts, "run": run.name, "outcome": run.outcome, "why": run.why, "scored": scored}
    return Result(document, lines, Exit.OK if followed.exit == Exit.OK else Exit.FAILED)
