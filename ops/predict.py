"""Post rows to the API as a consumer does: authorised, through API Gateway, with retries."""

import csv
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.account import Account, OpsError
from ops.output import Result, command, progress_bar

SECONDS = 30
"""API Gateway answers within 29 s (API Gateway quotas, integration timeout)."""
TRIES, LONGEST_WAIT = 6, 10
"""Attempts, and the longest Retry-After in seconds that is waited for; `not-deployed` asks for a minute."""
Answer = dict[str, Any]


class Refused(OpsError):
    """The API answered with a problem."""


@command
def predict(
    account: Account,
    row: Annotated[str | None, typer.Argument(help="Numbers with commas. Default: the first golden row.")] = None,
    file: Annotated[str, typer.Option("--file", help="A CSV of rows, with or without a header; - is stdin.")] = "",
) -> Result:
    """Post a row through API Gateway and print the label; with --file, post many rows and print a CSV."""
    if not file:
        label = label_of(account, row or golden_row(account))
        return Result({"prediction": label}, f"prediction: {label}")
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(newline="", encoding="utf-8-sig") as lines:
            rows = rows_of(lines, account.settings.data.features)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    return Result(predict_all(account, rows), _csv(predict_all(account, rows), account.settings.data.classes))


@command
def url(account: Account) -> Result:
    """Print the URL that rows are posted to."""
    return Result({"url": account.api_url}, account.api_url)


def label_of(account: Account, row: str) -> str:
    """The label of one CSV row. Raises Refused with the API's message."""
    return str(_post(account, account.api_url, json.dumps({"data": row}), "application/json"))


def golden_row(account: Account) -> str:
    """The first golden row of the settings, as CSV."""
    return ",".join(map(repr, account.settings.endpoint.golden[0].row))


def rows_of(lines: Iterable[str], features: tuple[str, ...]) -> list[str]:
    """The rows of a CSV as the API takes them, columns by name if it has a header. Raises OpsError for a fault."""
    rows = [row for row in csv.reader(lines) if row]
    header = rows[0] if rows else []
    if set(header) & set(features):
        if missing := [name for name in features if name not in header]:
            raise OpsError(f"the header lacks {', '.join(missing)}")
        places = [header.index(name) for name in features]
        rows = [[row[place] if place < len(row) else "" for place in places] for row in rows[1:]]
    if not rows:
        raise OpsError("there is no row to predict")
    return [",".join(row) for row in rows]


def predict_all(account: Account, rows: list[str]) -> Iterator[Answer]:
    """An answer per row, in order, in as few requests as possible. Raises Refused with the rows' numbers, from 1."""
    api, done = account.settings.api, 0
    address = account.api_url.removesuffix(api.path) + "/predictions"
    with progress_bar() as bar:
        task = bar.add_task("predicting", total=len(rows))
        for batch in _batches(rows, api.max_rows, api.max_bytes):
            yield from _post(account, address, "\n".join(batch), "text/csv", before=done)["predictions"]
            done += len(batch)
            bar.advance(task, len(batch))


def flat(answer: Answer, classes: tuple[str, ...]) -> Answer:
    """The answer with a column per score of a multiclass model."""
    if not isinstance(answer["score"], list):
        return answer
    scores = {f"score_{name}": score for name, score in zip(classes, answer["score"], strict=True)}
    return {"label": answer["label"], **scores, "predicted_label": answer["predicted_label"]}


def _csv(answers: Iterator[Answer], classes: tuple[str, ...]) -> Iterator[str]:
    """The lines of a CSV, each as soon as its answer has come."""
    for number, answer in enumerate(flat(answer, classes) for answer in answers):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerows([*([] if number else [answer]), answer.values()])
        yield line.getvalue()[:-1]


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


def _post(account: Account, address: str, body: str, content_type: str, before: int = 0) -> Any:
    for attempt in range(1, TRIES + 1):
        headers = _authorised(account, address, body, {"Content-Type": content_type})
        request = urllib.request.Request(address, body.encode(), headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310  # the stack's own URL
                return json.load(answer)
        except urllib.error.HTTPError as error:
            wait = int(error.headers.get("Retry-After") or LONGEST_WAIT + 1)
            if error.code not in {429, 503} or wait > LONGEST_WAIT or attempt == TRIES:
                raise Refused(f"{error.code} {_problem(error.read(), before)}") from error
            time.sleep(wait)
        except urllib.error.URLError as error:
            reason = f"{address} does not answer ({error.reason}): is it deployed, is the local AWS up?"
            raise Refused(reason) from error
    raise AssertionError("unreachable")


def _authorised(account: Account, address: str, body: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers with the credentials that the settings ask for."""
    auth = account.settings.api.auth
    if "ApiKey" in account.outputs:
        key = account.session.client("apigateway").get_api_key(apiKey=account.outputs["ApiKey"], includeValue=True)
        headers = {**headers, "x-api-key": key["value"]}
    if auth == "cognito":
        if not (token := os.environ.get("API_TOKEN")):
            raise OpsError("the API needs a token of its user pool: put it into the variable API_TOKEN")
        return {**headers, "Authorization": token}
    request = AWSRequest("POST", address, data=body.encode(), headers=headers)
    if auth == "iam":
        if (credentials := account.session.get_credentials()) is None:
            raise OpsError("no AWS credentials: run `aws configure`, or `make up` and its exports for the local AWS")
        SigV4Auth(credentials, "execute-api", account.session.region_name).add_auth(request)
    return dict(request.headers)


def _problem(body: bytes, before: int) -> str:
    try:
        problem = json.loads(body)
        message = ": ".join(str(problem[key]) for key in ("title", "detail", "message") if key in problem)
        for fault in problem.get("errors", []):
            what = " ".join(filter(None, (fault.get("column"), fault["detail"])))
            message += f"\n  row {fault['row'] + before}: {what}"
        return message or str(problem)
    except (ValueError, AttributeError, KeyError):
        return body.decode(errors="replace")
