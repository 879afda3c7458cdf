"""Answer the run that waits for approval of its model."""

import json
from typing import Any, Literal

from ops.account import Account, NothingToDo
from ops.output import Result, command


@command
def approve(account: Account) -> Result:
    """Approve the model of the run that waits for approval: it goes live."""
    return _answer(account, "Approved")


@command
def reject(account: Account) -> Result:
    """Reject the model of the run that waits for approval."""
    return _answer(account, "Rejected")


def _answer(account: Account, status: Literal["Approved", "Rejected"]) -> Result:
    table, key = account.outputs["Lease"], {"endpoint": {"S": account.outputs["Endpoint"]}}
    dynamodb = account.session.client("dynamodb")
    item: dict[str, Any] = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    if "approval" not in item:
        raise NothingToDo("no run waits for an approval: `ops status` shows the runs")
    account.states.send_task_success(taskToken=item["approval"]["S"], output=json.dumps({"status": status}))
    package, word = item["package"]["S"], status.lower()
    return Result({word: package}, f"{word} {package}")
