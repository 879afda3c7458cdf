"""The window of a drift check, collected from a live pipeline."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.drift_window.collect import UnknownModel, Window
from ops import runs
from pipeline.config import load
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PACKAGES = "arn:aws:sagemaker:us-east-1:123456789012:model-package/breast-cancer"
SIGNATURE = load(ROOT / "pipeline.toml").signature
PREFIX = f"data-capture/breast-cancer/{SIGNATURE.variant}/"


@pytest.fixture
def window(live: Deployed) -> Iterator[Window]:
    """The window of two hours and three days; afterwards, what the test wrote is deleted."""
    bucket, s3 = live.account.outputs["DataBucket"], live.client("s3")
    yield Window(bucket, "breast-cancer", 2, 3, s3, live.client("sagemaker"))
    for prefix in (f"{PREFIX}2031/", "ground-truth/2031", "runs/check/"):
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=item["Key"])


def read(window: Window, name: str) -> Any:
    return window.s3.get_object(Bucket=window.bucket, Key=f"runs/check/window/{name}")["Body"].read().decode()


def put(window: Window, key: str, body: str = "") -> None:
    window.s3.put_object(Bucket=window.bucket, Key=key, Body=body.encode())


def captured(hours: int) -> str:
    """Return the name of a file that was captured some hours ago."""
    return f"{NOW - timedelta(hours=hours):%Y/%m/%d/%H}/00-00-000-x.jsonl"


def test_the_manifest_lists_the_files_of_the_windows_hours_only(live: Deployed, window: Window) -> None:
    for hours in (-1, 0, 1, 2, 3):
        put(window, PREFIX + captured(hours))
    config = window.sagemaker.describe_endpoint(EndpointName="breast-cancer")["EndpointConfigName"]
    run = runs.of_deployment(live.account, config)
    assert run is not None
    assert window.collect("check", NOW) == {"files": 3, "run": run.name}
    manifest = [{"prefix": f"s3://{window.bucket}/{PREFIX}"}, captured(2), captured(1), captured(0)]
    assert json.loads(read(window, "manifest.json")) == manifest
    period = {"run": run.name, "since": "2031-05-06T05:08:09Z", "until": "2031-05-06T07:08:09Z"}
    assert json.loads(read(window, "window.json")) == period
    assert read(window, "ground_truth.csv") == "inference_id,row,label\n"
    assert read(window, "signature.json") == SIGNATURE.to_json()


def test_with_recent_ground_truth_the_window_includes_its_requests(window: Window) -> None:
    for hours in (2, 60):
        put(window, PREFIX + captured(hours))
    put(window, "ground-truth/2031-05-02/old.csv", "inference_id,label\nold,B\n")
    put(window, "ground-truth/2031-05-04/new.csv", 'inference_id,label\nnew,M\n"a,b",B\n')
    put(window, "ground-truth/2031-05-05/rows.csv", "\ufeffinference_id,row,label\nmany,2,M\n")
    assert int(window.collect("check", NOW)["files"]) >= 2
    assert captured(60) in json.loads(read(window, "manifest.json"))
    rows = ["inference_id,row,label", "new,1,M", '"a,b",1,B', "many,2,M"]
    assert read(window, "ground_truth.csv").splitlines() == rows


def test_without_an_endpoint_there_are_no_files(window: Window) -> None:
    assert replace(window, endpoint="none-such").collect("check", NOW) == {"files": 0, "run": "none"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({}, "names no model package: deploy a model by a run first"),
        ({"model-package": f"{PACKAGES}/999"}, "breast-cancer/999 is deleted: deploy a model by a run first"),
    ],
)
def test_a_model_that_no_run_trained_cannot_be_compared(window: Window, tags: dict[str, str], message: str) -> None:
    names = ("describe_endpoint", "describe_endpoint_config", "describe_model_package", "exceptions")
    listed = {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    calls = {name: getattr(window.sagemaker, name) for name in names} | {"list_tags": lambda **_: listed}
    with pytest.raises(UnknownModel, match=message):
        replace(window, sagemaker=SimpleNamespace(**calls)).collect("check", NOW)
