"""`ops predict`: a row, a file, standard input; requests within the API's limits, and retries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops import predict
from ops.account import Account, OpsError
from pipeline.config import load
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

    def settings(self, **changes: Any) -> Account:
        api = self.account.settings.api.model_copy(update=changes)
        account = Account(self.account.settings.model_copy(update={"api": api}), self.account.session)
        vars(account)["outputs"] = self.account.outputs
        return account


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    account = Account(load(ROOT / "pipeline.toml"), boto3.Session("AKID", "SECRET", region_name="us-east-1"))
    state = Api(account)

    def answer(request: BaseHTTPRequestHandler, body: str) -> Answer:
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


def test_a_header_picks_the_columns_by_name_and_leaves_the_rest() -> None:
    assert predict.rows_of(["id,b,a\n", "7,2,1\n", "\n", "8,4\n"], ("a", "b")) == ["1,2", ",4"]
    assert predict.rows_of(["1,2\n", "3,4\n"], ("a", "b")) == ["1,2", "3,4"]


@pytest.mark.parametrize(
    ("lines", "message"), [([], "there is no row"), (["a\n"], "the header lacks b"), (["a,b\n"], "no row")]
)
def test_a_file_without_rows_or_columns_says_so(lines: list[str], message: str) -> None:
    with pytest.raises(OpsError, match=message):
        predict.rows_of(lines, ("a", "b"))


def test_calls_keep_to_the_apis_limits_and_the_answers_to_the_rows_order(api: Api) -> None:
    rows = [f"{number},{'0' * number}" for number in range(1, 8)]
    assert labels(api.settings(max_rows=3, max_bytes=15), rows) == list("1234567")
    assert [body.split("\n") for _, _, body in api.posted] == [rows[:3], rows[3:5], rows[5:6], rows[6:]]
    assert {path for path, _, _ in api.posted} == {"/v1/predictions"}


def test_a_call_is_signed_or_has_a_token_or_nothing_by_the_settings(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for auth in ("iam", "none"):
        predict.label_of(api.settings(auth=auth), ROW)
    with pytest.raises(OpsError, match="API_TOKEN"):
        predict.label_of(api.settings(auth="cognito"), ROW)
    monkeypatch.setenv("API_TOKEN", "token")
    predict.label_of(api.settings(auth="cognito"), ROW)
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
    golden = predict.golden_row(live.account)
    file.write_text("\n".join([golden] * 1001 + ["1,2", golden]))
    failed = typed("predict", "--file", str(file))
    assert failed.code == 1
    assert failed.err.strip().endswith("row 1002: has 2 value(s); the model takes 30")
    assert failed.out.count("\nB,") == 1000
