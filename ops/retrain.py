"""Asking for a run by hand: the same Lambda that uploads come to, asked directly, so that it answers at once."""

import json

from ops.account import Account, OpsError


class RetrainFailed(OpsError):
    """The Lambda did not answer the request; its own words are in the message."""


def retrain(account: Account, *, force: bool) -> dict[str, str]:
    """Ask for a run; return the Lambda's {"result", "detail"} and, when one was started, its "execution".

    Raises:
        RetrainFailed: the Lambda failed.
    """
    request = json.dumps({"reason": "manual", "force": force})
    answer = account.session.client("lambda").invoke(FunctionName=account.outputs["Retrain"], Payload=request)
    document: dict[str, str] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise RetrainFailed(
            f"{account.outputs['Retrain']}: {document.get('errorType')}: {document.get('errorMessage')}"
        )
    return document
