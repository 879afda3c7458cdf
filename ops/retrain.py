"""Start a run: invoke the Lambda that starts runs, so that its answer is known at once."""

import json
from typing import Annotated

import typer

from ops.account import Account, OpsError
from ops.output import Exit, Result, command


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
