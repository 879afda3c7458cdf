"""`ops predict`: a row, a file, standard input; requests within the API's limits, and retries."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pytest

from ops import predict
from ops.account import Account, OpsError
from pipeline.config import Settings, load
from pipeline.settings import Data, Format, Missing
from tests.conftest import ROOT, WDBC, Deployed
from tests.lambdas.predict.conftest import Answer, served
from tests.ops.typing import typed

ROW = ",".join(["1.5"] * 30)


@dataclass
class Api:
    """The requests (path, headers, body), and how the next ones are refused: (status, Retry-After)."""

    account: Account
    posted: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def settings(self, **changes: Any) -> Account:
        api = self.account.settings.api.model_copy(update=changes)
        return self.of(self.account.settings.model_copy(update={"api": api}))

    def of(self, settings: Settings) -> Account:
        account = Account(settings, self.account.session)
        vars(account)["outputs"] = self.account.outputs
        return account


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    account = Account(load(ROOT / "pipeline.toml"), boto3.Session("AKID", "SECRET", region_name="us-east-1"))
    state = Api(account)

    def answer(request: BaseHTTPRequestHandler, body: str) -> Answer:
        if request.command == "GET":
            return (200, {}, json.dumps(state.document).encode()) if state.document else (404, {}, b"")
        state.posted.append((request.path, dict(request.headers), body))
        status, retry = state.refusals.pop(0) if state.refusals else (200, "")
        predictions = [{"label": line[:1]} for line in body.split("\n")]
        document = {"predictions": predictions, "title": "Busy", "detail": "Wait"}
        return status, {"Retry-After": retry} if retry else {}, json.dumps(document).encode()

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with served(answer) as url:
        vars(account)["outputs"] = {"ApiUrl": f"{url}/v1/"}
        yield state


def labels(account: Account, rows: list[str]) -> list[str]:
    return [answer["label"] for answer in predict.predict_all(account, rows)]


def data(**changes: Any) -> Data:
    return load(ROOT / "pipeline.toml").data.model_copy(update={"features": ("a", "b"), "target": "y", **changes})


def rows(text: str, **changes: Any) -> list[str]:
    return predict.rows_of(text.splitlines(keepends=True), data(**changes))


def test_a_header_picks_the_columns_by_name_and_leaves_the_rest() -> None:
    assert rows("id,b,a\n7,2,1\n\n8,4\n") == ["1,2", ",4"]
    assert rows("1,2\n3,4\n") == ["1,2", "3,4"]


def test_a_file_is_read_as_the_settings_say_and_sent_with_commas_and_points() -> None:
    european = Format(separator=";", decimal=",", thousands=".", symbols="€", comment="#")
    text = "sep=;\n# prices\na;y;b\n1.234,5 €;no;New York, NY\n?;;NA\n"
    kinds, missing = {"b": "categorical"}, Missing(texts=("?", "NA"), impute=("*",))
    assert rows(text, format=european, kinds=kinds, missing=missing) == ['1234.5,"New York, NY"', ","]


def test_a_file_without_a_header_has_the_columns_of_the_settings_with_or_without_the_target() -> None:
    form = Format(header=False, names=("b", "y", "a"))
    assert rows("1,yes,2\n", format=form) == ["2,1"]
    assert rows("1,2\n", format=form) == ["2,1"]
    spaced = Format(separator=" ", header=False, names=("b", "y", "a"))
    assert rows("  1   yes   2\n", format=spaced) == ["2,1"]


@pytest.mark.parametrize(("text", "message"), [("", "no row"), ("a\n", "the header lacks b"), ("a,b\n", "no row")])
def test_a_file_without_rows_or_columns_says_so(text: str, message: str) -> None:
    with pytest.raises(OpsError, match=message):
        rows(text)


def test_the_default_row_is_the_example_of_the_settings_or_else_the_first_golden_row(api: Api) -> None:
    golden = api.account.settings.endpoint.golden[0].row
    assert predict.example(api.account).row == ",".join(map(repr, golden))
    kinds = {
        "features": ("n", "sex", "ok", "city"),
        "kinds": {"sex": "categorical", "ok": "boolean", "city": "categorical"},
    }
    example = {"ok": True, "n": 1.5, "city": "Köln, Süd", "sex": ""}
    settings = api.account.settings
    settings = settings.model_copy(
        update={
            "data": settings.data.model_copy(update=kinds),
            "api": settings.api.model_copy(update={"example": example}),
        }
    )
    assert predict.example(api.of(settings)).row == '1.5,,true,"Köln, Süd"'
    bare = settings.model_copy(
        update={
            "api": settings.api.model_copy(update={"example": {}}),
            "endpoint": settings.endpoint.model_copy(update={"golden": ()}),
        }
    )
    with pytest.raises(OpsError, match=r"set api\.example"):
        predict.example(api.of(bare))


def test_calls_keep_to_the_apis_limits_and_the_answers_to_the_rows_order(api: Api) -> None:
    rows = [f"{number},{'0' * number}" for number in range(1, 8)]
    assert labels(api.settings(max_rows=3, max_bytes=15), rows) == list("1234567")
    assert [body.split("\n") for _, _, body in api.posted] == [rows[:3], rows[3:5], rows[5:6], rows[6:]]
    assert {path for path, _, _ in api.posted} == {"/v1/predictions"}


def test_a_call_is_signed_or_has_a_token_or_nothing_by_the_settings(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for auth in ("iam", "none"):
        predict.label_of(api.settings(auth=auth), predict.Example(ROW))
    with pytest.raises(OpsError, match="API_TOKEN"):
        predict.label_of(api.settings(auth="cognito"), predict.Example(ROW))
    monkeypatch.setenv("API_TOKEN", "token")
    predict.label_of(api.settings(auth="cognito"), predict.Example(ROW))
    signed, bare, token = [headers.get("Authorization", "") for _, headers, _ in api.posted]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert (bare, token) == ("", "token")


def test_a_short_retry_after_is_waited_for_and_a_long_one_fails(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("ops.predict.time.sleep", waited.append)
    api.refusals = [(429, "1"), (503, "5")]
    assert labels(api.account, ["M", "B"]) == ["M", "B"]
    assert waited == [1, 5]
    for refusals in ([(503, "60")], [(429, "1")] * predict.TRIES, [(400, "")]):
        api.refusals = list(refusals)
        with pytest.raises(predict.Refused, match=f"{refusals[0][0]} Busy: Wait"):
            labels(api.account, ["M"])
    assert len(waited) == 2 + predict.TRIES - 1


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "Remote end closed connection without response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "IncompleteRead(1 bytes read, 8 more expected)"),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n{", "IncompleteRead(1 bytes read, 8 more expected)"),
        (None, "timed out"),
    ],
    ids=["before the answer", "in the answer", "in a problem", "no answer in time"],
)
def test_an_answer_that_does_not_come_whole_is_an_error_in_one_line(
    api: Api, monkeypatch: pytest.MonkeyPatch, sent: bytes | None, reason: str
) -> None:
    ended = Event()

    def answer(request: BaseHTTPRequestHandler, _: str) -> None:
        if sent is None:
            ended.wait()
        else:
            request.wfile.write(sent)

    monkeypatch.setattr(Account, "of", lambda *_: api.account)
    monkeypatch.setattr(predict, "SECONDS", 0.2 if sent is None else 30)
    with served(answer) as url:
        vars(api.account)["outputs"] = {"ApiUrl": f"{url}/v1/"}
        failed = typed("predict")
        ended.set()
    message = f"{api.account.api_url} does not answer ({reason}): is it deployed, is the local AWS up?"
    assert (failed.code, failed.out, failed.err) == (1, "", f"error: {message}\n")


@pytest.mark.parametrize("standard_input", [False, True])
def test_a_file_and_standard_input_are_read_alike_as_spreadsheets_write_them(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standard_input: bool
) -> None:
    names = api.account.settings.data.features
    file = tmp_path / "rows.csv"
    text = "\r\n".join([",".join(names), *(",".join([first] * len(names)) for first in "12"), ""])
    file.write_text(text, encoding="utf-8-sig", newline="")
    monkeypatch.setattr(Account, "of", lambda *_: api.account)
    with file.open() as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        answer = typed("predict", "--file", "-" if standard_input else str(file), "--json")
    assert (answer.code, answer.document, answer.err) == (0, [{"label": "1"}, {"label": "2"}], "")
    assert [body for _, _, body in api.posted] == ["\n".join(",".join([first] * len(names)) for first in "12")]


def test_scores_of_a_multiclass_model_get_columns_of_their_own() -> None:
    answer = {"label": "b", "score": [0.1, 0.9], "predicted_label": 1}
    assert predict.flat(answer, ("a", "b")) == {"label": "b", "score_a": 0.1, "score_b": 0.9, "predicted_label": 1}
    assert predict.flat({"score": 151.5}, ()) == {"score": 151.5}


@pytest.mark.cloud
def test_a_file_becomes_a_csv_of_labels_and_scores(live: Deployed) -> None:
    answers = list(csv.DictReader(io.StringIO(typed("predict", "--file", str(WDBC)).out)))
    with WDBC.open(newline="") as file:
        labels = [row["diagnosis"] for row in csv.DictReader(file)]
    assert set(answers[0]) == {"label", "score", "predicted_label"}
    right = sum(row["label"] == label for row, label in zip(answers, labels, strict=True))
    assert right / len(labels) > 0.95


@pytest.mark.cloud
def test_a_bad_row_is_named_by_its_place_in_the_file(live: Deployed, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    golden = predict.example(live.account).row
    file.write_text("\n".join([golden] * 1001 + ["1,2", golden]))
    failed = typed("predict", "--file", str(file))
    assert failed.code == 1
    assert failed.err.strip().endswith("row 1002: has 2 value(s); the model takes 30")
    assert failed.out.count("\nB,") == 1000


def test_rows_follow_the_live_models_signature(api: Api) -> None:
    number, text = {"type": "number"}, {"type": "string"}
    schemas = {
        "NamedValues": {"properties": {"b": number, "a": text}},
        "Label": {"enum": ["no", "yes"]},
        "Data": {"example": {"data": "1.5,x"}},
    }
    api.document = {"info": {"x-model-signature": "other"}, "components": {"schemas": schemas}}
    live = predict.live_model(api.account)
    assert (live.signature, live.data.features, live.data.classes) == ("other", ("b", "a"), ("no", "yes"))
    assert predict.rows_of(["a,c,b\n", "x,1,2\n"], live.data) == ["2,x"]
    assert predict.example(api.account) == predict.Example("1.5,x", "other")
    assert list(predict.predict_all(api.account, ["2,x"], live.signature)) == [{"label": "2"}]
    ((_, headers, _),) = api.posted
    assert headers["X-Model-Signature"] == "other"
    api.document = {"info": {"x-model-signature": api.account.settings.signature.name}}
    assert predict.live_model(api.account).data == api.account.settings.data


def test_the_example_is_answered_by_a_model_of_its_signature_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "of", lambda *_: api.account)
    api.document = {"info": {"x-model-signature": api.account.settings.signature.name}}
    asked = []
    for row in ((), (ROW,)):
        api.refusals = [(409, "")]
        failed = typed("predict", *row)
        assert (failed.code, failed.err.strip()) == (1, "error: 409 Busy: Wait")
        asked.append(api.posted.pop()[1].get("X-Model-Signature"))
    assert asked == [api.account.settings.signature.name, None]
