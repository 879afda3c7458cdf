"""Posting rows the way that a consumer does: authorised, through API Gateway, patient when told to be."""

import csv
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.account import Account, OpsError

SECONDS = 30
"""API Gateway answers within 29 s (API Gateway quotas, integration timeout)."""
TRIES, LONGEST_WAIT = 6, 10
"""Waiting that is worth it; `not-deployed` asks for a minute, which is a person's decision."""
Answer = dict[str, Any]


class Refused(OpsError):
    """The API answered with a problem."""


def predict(account: Account, row: str) -> str:
    """The label of one CSV row, by the post's path. Raises Refused with the API's own words."""
    return str(_post(account, account.api_url, json.dumps({"data": row}), "application/json"))


def golden_row(account: Account) -> str:
    """The first golden row of the settings, as CSV."""
    return ",".join(map(repr, account.settings.endpoint.golden[0].row))


def rows_of(lines: Iterable[str], features: tuple[str, ...]) -> list[str]:
    """The rows of a CSV as the API takes them; by name where it has a header, whatever else it holds.

    Raises OpsError when a header lacks a feature or there is no row.
    """
    table = csv.reader(lines)
    first = next(table, [])
    if set(first) & set(features):
        if missing := [name for name in features if name not in first]:
            raise OpsError(f"the header lacks {', '.join(missing)}")
        places = [first.index(name) for name in features]
        rows = [[row[place] if place < len(row) else "" for place in places] for row in table if row]
    else:
        rows = [row for row in chain([first], table) if row]
    if not rows:
        raise OpsError("there is no row to predict")
    return [",".join(row) for row in rows]


def predict_all(account: Account, rows: list[str], advance: Callable[[int], None]) -> Iterator[Answer]:
    """An answer a row, in order, in as few calls as the API's limits allow; `advance` is told of each call's rows.

    Raises Refused with the rows' numbers as they stand in `rows`, from 1.
    """
    url = account.api_url.removesuffix(account.settings.api.path) + "/predictions"
    done = 0
    for batch in _batches(rows, account.settings.api.max_rows, account.settings.api.max_bytes):
        yield from _post(account, url, "\n".join(batch), "text/csv", before=done)["predictions"]
        done += len(batch)
        advance(len(batch))


def flat(answer: Answer, classes: tuple[str, ...]) -> Answer:
    """The answer with a multiclass model's scores each in a column of its own."""
    if not isinstance(answer["score"], list):
        return answer
    scores = {f"score_{name}": score for name, score in zip(classes, answer["score"], strict=True)}
    return {"label": answer["label"], **scores, "predicted_label": answer["predicted_label"]}


def _batches(rows: list[str], most_rows: int, most_bytes: int) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for row in rows:
        length = len(row.encode()) + 1
        if batch and (len(batch) == most_rows or size + length > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    yield batch


def _post(account: Account, url: str, body: str, content_type: str, before: int = 0) -> Any:
    for attempt in range(1, TRIES + 1):
        headers = _authorised(account, url, body, {"Content-Type": content_type})
        posted = urllib.request.Request(url, body.encode(), headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(posted, timeout=SECONDS) as answer:  # noqa: S310  # the stack's own URL
                return json.load(answer)
        except urllib.error.HTTPError as error:
            wait = int(error.headers.get("Retry-After") or LONGEST_WAIT + 1)
            if error.code not in {429, 503} or wait > LONGEST_WAIT or attempt == TRIES:
                raise Refused(f"{error.code} {_problem(error.read(), before)}") from error
            time.sleep(wait)
        except urllib.error.URLError as error:
            reason = f"{url} does not answer ({error.reason}): is it deployed, is the local AWS up?"
            raise Refused(reason) from error
    raise AssertionError("unreachable")


def _authorised(account: Account, url: str, body: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers with the proof that the settings ask for."""
    if "ApiKey" in account.outputs:
        key = account.session.client("apigateway").get_api_key(apiKey=account.outputs["ApiKey"], includeValue=True)
        headers = {**headers, "x-api-key": key["value"]}
    if account.settings.api.auth == "none":
        return headers
    if account.settings.api.auth == "cognito":
        if not (token := os.environ.get("API_TOKEN")):
            raise OpsError("the API wants a token of its user pool: put one into API_TOKEN")
        return {**headers, "Authorization": token}
    credentials = account.session.get_credentials()
    if credentials is None:
        raise OpsError("no AWS credentials: run `aws configure`, or `make up` and its exports for the local AWS")
    request = AWSRequest("POST", url, data=body.encode(), headers=headers)
    SigV4Auth(credentials, "execute-api", account.session.region_name).add_auth(request)
    return dict(request.headers)


def _problem(body: bytes, before: int) -> str:
    try:
        problem = json.loads(body)
        words = ": ".join(str(problem[key]) for key in ("title", "detail", "message") if key in problem)
        faults = [
            f"\n  row {fault['row'] + before}: {' '.join(filter(None, (fault.get('column'), fault['detail'])))}"
            for fault in problem.get("errors", [])
        ]
        return (words or str(problem)) + "".join(faults)
    except (ValueError, AttributeError, KeyError):
        return body.decode(errors="replace")
