"""The files that a scoring takes, and what it tells its jobs, against a local AWS."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3
import pytest

from lambdas.trigger import scoring
from lambdas.trigger.listing import KeyUnusable

SIGNATURE = b'{"features":[]}'
LIVE = {"package": "arn:aws:sagemaker:us-east-1:123456789012:model-package/shop/12", "variant": "signature-0a"}


@pytest.fixture
def place(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket with the live model's signature, as the function finds it."""
    name, s3 = f"test-{uuid4().hex[:8]}", clients["s3"]
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="signatures/0a.json", Body=SIGNATURE)
    monkeypatch.setattr(boto3, "client", lambda _: s3)
    for key, value in {"DATA_BUCKET": name, "FORMAT": "input", "CONTRIBUTIONS": "3"}.items():
        monkeypatch.setenv(key, value)
    return lambda *keys: [s3.put_object(Bucket=name, Key=key, Body=b"x") for key in keys]


def asked(given: Any, champion: dict[str, str] | None = None) -> int:
    event = {"execution": "run", "input": given, "champion": LIVE if champion is None else champion}
    return scoring.handle(event, None)["files"]


def written(clients: dict[str, Any], name: str) -> Any:
    found = clients["s3"].get_object(Bucket=os.environ["DATA_BUCKET"], Key=f"runs/run/request/{name}.json")
    return json.load(found["Body"])


Put = Callable[..., Any]


def test_the_file_of_the_input_is_requested_with_the_live_models_version_and_signature(
    clients: dict[str, Any], place: Put
) -> None:
    place("score/a b/c.csv", "score/a b/c.csv2")
    assert asked({"key": "score/a b/c.csv"}) == 1
    request = {"files": {"a b/c.csv": "a b/c.csv"}, "version": 12, "contributions": 3}
    assert written(clients, "request") == request
    assert written(clients, "signature") == json.loads(SIGNATURE)
    prefix, *names = written(clients, "manifest")
    assert (prefix["prefix"].endswith("/score/"), names) == (True, ["a b/c.csv"])


@pytest.mark.parametrize("given", [{}, None, "text", {"reason": "schedule"}])
def test_without_a_file_those_are_scored_that_have_no_scored_rows(
    clients: dict[str, Any], place: Put, given: Any
) -> None:
    place("score/folder/", "score/a.zip", "scored/a.zip", "score/new.parquet")
    assert asked(given) == 2
    assert written(clients, "request")["files"] == {"a.zip": "a.zip.csv", "new.parquet": "new.parquet"}


def test_a_file_is_scored_again_if_it_is_not_older_than_its_scored_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 knows the time of an object to the second."""
    day = {hour: datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(9)}
    files = {"late.csv": day[5], "old.csv": day[1], "again.csv": day[3], "same.csv": day[2]}
    done = {"old.csv": day[2], "again.csv": day[2], "same.csv": day[2]}
    monkeypatch.setenv("FORMAT", "input")
    monkeypatch.setattr(scoring, "_times", lambda _s3, _bucket, prefix, _: files if prefix == "score/" else done)
    assert list(scoring._new(None, "")) == ["same.csv", "again.csv", "late.csv"]
    monkeypatch.setattr(scoring, "MOST_FILES", 2)
    assert list(scoring._new(None, "")) == ["same.csv", "again.csv"]


def test_a_file_that_was_left_out_is_new_only_when_it_is_uploaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    day = {hour: datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(9)}
    files = {"bad.csv": day[1], "corrected.csv": day[4], "scored since.csv": day[4], "new.csv": day[5], "b.zip": day[1]}
    left_out = {"bad.csv", "corrected.csv", "scored since.csv", "b.zip.csv"}
    done = {f"{name}.left-out": day[3] for name in left_out} | {"scored since.csv": day[5]}
    monkeypatch.setenv("FORMAT", "input")
    monkeypatch.setattr(scoring, "_times", lambda _s3, _bucket, prefix, _: files if prefix == "score/" else done)
    assert list(scoring._new(None, "")) == ["corrected.csv", "new.csv"]


def test_a_folder_of_the_console_is_no_file(place: Put) -> None:
    place("score/folder/")
    assert asked({"key": "score/folder/"}) == 0


@pytest.mark.parametrize(
    ("name", "wanted", "found"),
    [
        ("a.csv", "input", "a.csv"),
        ("a.TSV.gz", "input", "a.TSV.gz"),
        ("a.Zip", "input", "a.Zip.csv"),
        ("a.csv", "parquet", "a.csv.parquet"),
        ("a.parquet", "csv", "a.parquet.csv"),
        ("a.CSV", "csv", "a.CSV"),
    ],
)
def test_the_name_under_scored_says_the_format(
    monkeypatch: pytest.MonkeyPatch, name: str, wanted: str, found: str
) -> None:
    monkeypatch.setenv("FORMAT", wanted)
    assert scoring.scored_name(name) == found


@pytest.mark.parametrize(
    ("key", "champion", "error", "message"),
    [
        ("score/a.csv", {"package": "none", "variant": "none"}, scoring.NothingLive, "no model is live"),
        ("score/a.csv", {**LIVE, "variant": "AllTraffic"}, scoring.SignatureUnknown, "ops retrain --force"),
        ("score/gone.csv", LIVE, scoring.FileMissing, "score/gone.csv is no file under score/: upload it again"),
        ("raw/a.csv", LIVE, scoring.FileMissing, "raw/a.csv is no file under score/"),
        ("score/a//b.csv", LIVE, KeyUnusable, "a part of its path is empty or consists of dots: aws s3 rm"),
    ],
)
def test_what_cannot_be_scored_is_said_with_what_to_do(
    place: Put, key: str, champion: dict[str, str], error: type[Exception], message: str
) -> None:
    place("score/a.csv", "raw/a.csv", "score/a//b.csv")
    with pytest.raises(error, match=message):
        asked({"key": key}, champion)
