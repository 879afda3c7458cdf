"""Post rows to the API as a consumer does: authorised, through API Gateway, with retries."""

import codecs
import csv
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from itertools import repeat
from typing import Annotated, Any

import typer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.account import Account, OpsError
from ops.output import Result, command, progress_bar
from pipeline.settings import Data

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
    row: Annotated[str | None, typer.Argument(help="Values with commas. Default: api.example or a golden row.")] = None,
    file: Annotated[str, typer.Option("--file", help="Rows as in the data's files; - is standard input.")] = "",
) -> Result:
    """Post a row through API Gateway and print the label; with --file, post many rows and print a CSV."""
    if not file:
        label = label_of(account, Example(row) if row else example(account))
        return Result({"prediction": label}, f"prediction: {label}")
    live = live_model(account)
    own = account.settings.data.format.encoding
    encoding = "utf-8-sig" if codecs.lookup(own).name == "utf-8" else own
    try:
        source = sys.stdin.fileno() if file == "-" else file
        with open(source, newline="", encoding=encoding, closefd=file != "-") as lines:
            rows = rows_of(lines, live.data)
    except (OSError, UnicodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    answers = predict_all(account, rows, live.signature)
    return Result(answers, _csv(answers, live.data.classes))


@dataclass(frozen=True)
class LiveModel:
    """The settings' data with the features and the classes of the live model, its signature, and a row as an example.

    All is from the OpenAPI document that the API serves; the example is "" if that is the settings'.
    """

    data: Data
    signature: str = ""
    example: str = ""


@dataclass(frozen=True)
class Example:
    """A row of CSV, and the signature that it was written for, if that is known."""

    row: str
    signature: str = ""


def live_model(account: Account) -> LiveModel:
    """What the live model takes and answers; an API of an older version serves the settings'."""
    own = account.settings.data
    address = account.api_url.removesuffix(account.settings.api.path) + "/openapi.json"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310  # the stack's own URL
            document = json.load(answer)
    except (HTTPException, OSError, ValueError):  # the call that posts the rows says why
        return LiveModel(own)
    signature = document.get("info", {}).get("x-model-signature", "")
    if not signature or signature == account.settings.signature.name:
        return LiveModel(own, signature)
    schemas = document["components"]["schemas"]
    named = schemas.get("NamedValues") or schemas["NamedNumbers"]
    columns, types = named["properties"], {"number": "numeric", "string": "categorical", "boolean": "boolean"}
    changes = {
        "features": tuple(columns),
        "kinds": {name: types[column["type"]] for name, column in columns.items()},
        "labels": tuple(schemas.get("Label", {"enum": []})["enum"]),
        "positive_label": None,
    }
    return LiveModel(own.model_copy(update=changes), signature, schemas["Data"]["example"]["data"])


@command
def url(account: Account) -> Result:
    """Print the URL that rows are posted to."""
    return Result({"url": account.api_url}, account.api_url)


def label_of(account: Account, example: Example) -> str:
    """The label of a row, by a model of its signature if it has one. Raises Refused with the API's message."""
    body = json.dumps({"data": example.row})
    return str(_post(account, account.api_url, body, "application/json", signature=example.signature))


def example(account: Account) -> Example:
    """The example of the settings, or else the first golden row, with the live model's signature. Raises OpsError.

    If the live model has another signature than the settings, it is the example of the API's document.
    """
    settings, live = account.settings, live_model(account)
    if live.example:
        return Example(live.example, live.signature)
    rows = [settings.api.example] if settings.api.example else [golden.row for golden in settings.endpoint.golden]
    if not rows:
        raise OpsError("the settings have no row: give one, or set api.example")
    cells = [rows[0][name] for name in settings.data.features] if isinstance(rows[0], dict) else rows[0]
    line = _line("" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in cells)
    return Example(line, live.signature)


def rows_of(lines: Iterable[str], data: Data) -> list[str]:
    """The rows of a file as the API takes them: the features' columns, by name if there is a header or are names.

    Raises OpsError: a column is missing, or there is no row.
    """
    form, features = data.format, data.features
    kept = (line for line in lines if not (form.comment and line.lstrip().startswith(form.comment)))
    spaced = (" ".join(line.split()) + "\n" for line in kept) if form.separator == " " else kept
    read = csv.reader(
        spaced,
        delimiter=form.separator,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    rows = [[cell.strip() for cell in row] for row in read if row and not row[0].lower().startswith("sep=")]
    names: Sequence[str] = rows[0] if rows else []
    if not form.header and rows and set(names).isdisjoint(features):
        # A row to predict has no target, or all columns.
        without = tuple(name for name in form.names if name != data.target)
        names = next((each for each in (form.names, without) if len(each) == len(rows[0])), ())
    elif set(names) & set(features):
        rows = rows[1:]
    else:
        names = ()
    if names:
        if missing := [name for name in features if name not in names]:
            raise OpsError(f"the header lacks {', '.join(missing)}")
        places = [names.index(name) for name in features]
        rows = [[row[place] if place < len(row) else "" for place in places] for row in rows]
    if not rows:
        raise OpsError("there is no row to predict")
    # A row of another length stays so: the API refuses it.
    numeric = [*(data.kind(name) == "numeric" for name in features), *repeat(False, max(map(len, rows)))]
    return [_line(_cell(cell, data, kind) for cell, kind in zip(row, numeric, strict=False)) for row in rows]


def _cell(text: str, data: Data, numeric: bool) -> str:
    """A cell of a file as the API takes it: nothing for no value, a number with a point and no other signs."""
    from pipeline.jobs.shared.encoder import level_of  # noqa: PLC0415 - imports pyarrow, as in drift.py

    if level_of(text) in map(level_of, data.missing.texts):
        return ""
    if numeric:
        for sign in (*data.format.symbols, data.format.thousands):
            text = text.replace(sign, "") if sign else text
        text = text.strip() if data.format.decimal == "." else text.strip().replace(data.format.decimal, ".")
    return text


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def predict_all(account: Account, rows: list[str], signature: str = "") -> Iterator[Answer]:
    """An answer per row, in order, in as few requests as possible. Raises Refused with the rows' numbers, from 1.

    With `signature` only a model of it answers.
    """
    api, done = account.settings.api, 0
    address = account.api_url.removesuffix(api.path) + "/predictions"
    with progress_bar() as bar:
        task = bar.add_task("predicting", total=len(rows))
        for batch in _batches(rows, api.max_rows, api.max_bytes):
            text = "\n".join(batch)
            yield from _post(account, address, text, "text/csv", before=done, signature=signature)["predictions"]
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


def _post(account: Account, address: str, body: str, content_type: str, *, before: int = 0, signature: str = "") -> Any:
    own = {"Content-Type": content_type, **({"X-Model-Signature": signature} if signature else {})}
    for attempt in range(1, TRIES + 1):
        headers = _authorised(account, address, body, own)
        request = urllib.request.Request(address, body.encode(), headers, method="POST")  # noqa: S310
        status, answered, text = _sent(request)
        if status == HTTPStatus.OK:
            return json.loads(text)
        wait = int(answered.get("Retry-After") or LONGEST_WAIT + 1)
        if status not in {429, 503} or wait > LONGEST_WAIT or attempt == TRIES:
            raise Refused(f"{status} {_problem(text, before)}")
        time.sleep(wait)
    raise AssertionError("unreachable")


def _sent(request: urllib.request.Request) -> tuple[int, Message, bytes]:
    """The status, headers and body of the answer. Raises Refused if none comes, or not whole."""
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310  # the stack's own URL
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read()
    except (HTTPException, OSError) as error:
        why = getattr(error, "reason", error)
        raise Refused(f"{request.full_url} does not answer ({why}): is it deployed, is the local AWS up?") from error


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
