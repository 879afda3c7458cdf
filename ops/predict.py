"""Posting a row the way that a consumer does: signed, through API Gateway."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.account import Account, OpsError

SECONDS = 30
"""API Gateway answers within 29 s (API Gateway quotas, integration timeout)."""


class Refused(OpsError):
    """The API answered with a problem."""


def predict(account: Account, row: str) -> str:
    """The label of one CSV row. Raises Refused with the API's own words."""
    body = json.dumps({"data": row}).encode()
    request = AWSRequest("POST", account.api_url, data=body, headers={"Content-Type": "application/json"})
    credentials = account.session.get_credentials()
    if credentials is None:
        raise OpsError("no AWS credentials: run `aws configure`, or `make up` and its exports for the local AWS")
    SigV4Auth(credentials, "execute-api", account.session.region_name).add_auth(request)
    try:
        posted = urllib.request.Request(account.api_url, body, dict(request.headers), method="POST")  # noqa: S310
        with urllib.request.urlopen(posted, timeout=SECONDS) as answer:  # noqa: S310  # the stack's own URL
            return str(json.load(answer))
    except urllib.error.HTTPError as error:
        raise Refused(f"{error.code} {_problem(error.read())}") from error
    except urllib.error.URLError as error:
        raise Refused(
            f"{account.api_url} does not answer ({error.reason}): is it deployed, is the local AWS up?"
        ) from error


def golden_row(account: Account) -> str:
    """The first golden row of the settings, as CSV."""
    row: Sequence[float] = account.settings.endpoint.golden[0].row
    return ",".join(repr(value) for value in row)


def _problem(body: bytes) -> str:
    try:
        problem = json.loads(body)
        return ": ".join(str(problem[key]) for key in ("title", "detail", "message") if key in problem) or str(problem)
    except (ValueError, AttributeError):
        return body.decode(errors="replace")
