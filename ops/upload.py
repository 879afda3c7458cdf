"""Upload data, which starts a run."""

from pathlib import Path
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Result, command, progress_bar


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
