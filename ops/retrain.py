"""Start a run: upload data, or invoke the Lambda that starts runs, so that its answer is known at once."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Exit, Result, command, progress_bar


@command
def upload(account: Account, file: Annotated[Path, typer.Argument(help="A CSV with a header.")]) -> Result:
    """Upload a CSV to the data bucket, which starts a run."""
    if not file.is_file():
        raise OpsError(f"{file}: no such file")
    bucket, key = account.outputs["DataBucket"], f"{account.settings.data.prefix}{file.name}"
    with progress_bar() as bar:
        task = bar.add_task(file.name, total=file.stat().st_size)
        account.s3.upload_file(str(file), bucket, key, Callback=lambda count: bar.advance(task, count))
    uri = f"s3://{bucket}/{key}"
    return Result({"uploaded": uri}, f"uploaded {uri}; `ops watch` follows the run that it starts")


@command
def retrain(
    account: Account,
    force: Annotated[bool, typer.Option("--force", help="Run again on data and settings that had a run.")] = False,
) -> Result:
    """Start a run now. Exit code: 0 started, 4 not started (nothing new, waiting, no data), 1 failed."""
    answer = start(account, force=force)
    code = Exit.OK if answer["result"] == "started" else Exit.NOTHING
    return Result(answer, f"{answer['result']}: {answer['detail']}", code)


def start(account: Account, *, force: bool) -> dict[str, str]:
    """The trigger Lambda's {"result", "detail"} and, when it started a run, "execution". Raises OpsError."""
    function, request = account.outputs["TriggerFunction"], json.dumps({"reason": "manual", "force": force})
    answer = account.session.client("lambda").invoke(FunctionName=function, Payload=request)
    document: dict[str, str] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise OpsError(f"{function}: {document.get('errorType')}: {document.get('errorMessage')}")
    return document
