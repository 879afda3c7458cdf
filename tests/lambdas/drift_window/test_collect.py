"""What a look at drift reads, collected from a live pipeline."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.window.collect import NotOurs, Window, collect
from ops.report.gather import trained_by
from tests.conftest import Deployed

pytestmark = pytest.mark.cloud
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def window(live: Deployed) -> Window:
    return Window(
        live.account.outputs["DataBucket"], "breast-cancer", 2, 3, live.client("s3"), live.client("sagemaker")
    )


def read(window: Window, name: str) -> Any:
    return window.s3.get_object(Bucket=window.bucket, Key=f"runs/look/window/{name}")["Body"].read().decode()


def put(window: Window, key: str, body: str = "") -> None:
    window.s3.put_object(Bucket=window.bucket, Key=key, Body=body.encode())


def captured(hours: int) -> str:
    return f"captured/breast-cancer/AllTraffic/{NOW - timedelta(hours=hours):%Y/%m/%d/%H}/00-00-000-x.jsonl"


@pytest.fixture(autouse=True)
def clean(window: Window) -> Iterator[None]:
    """Takes away what a test put there, so that no later look finds it."""
    yield
    for prefix in ("captured/breast-cancer/AllTraffic/2031/", "feedback/2031", "runs/look/"):
        for item in window.s3.list_objects_v2(Bucket=window.bucket, Prefix=prefix).get("Contents", []):
            window.s3.delete_object(Bucket=window.bucket, Key=item["Key"])


def test_the_files_of_the_windows_hours_are_named_and_no_others(live: Deployed, window: Window) -> None:
    for hours in (-1, 0, 1, 2, 3):
        put(window, captured(hours))
    config = window.sagemaker.describe_endpoint(EndpointName="breast-cancer")["EndpointConfigName"]
    run = trained_by(live.account, config)
    assert run is not None
    assert collect(window, "look", NOW) == {"files": 3, "run": run.name}
    prefix = "captured/breast-cancer/AllTraffic/"
    assert json.loads(read(window, "manifest.json")) == [
        {"prefix": f"s3://{window.bucket}/{prefix}"}, *(captured(hours).removeprefix(prefix) for hours in (2, 1, 0)),
    ]  # fmt: skip
    assert json.loads(read(window, "window.json")) == {
        "run": run.name, "since": "2031-05-06T05:08:09Z", "until": "2031-05-06T07:08:09Z",
    }  # fmt: skip
    assert read(window, "truth.csv") == "inference_id,row,label\n"


def test_truth_that_is_not_too_old_reaches_back_for_its_requests(window: Window) -> None:
    for hours in (2, 60):
        put(window, captured(hours))
    put(window, "feedback/2031-05-02/old.csv", "inference_id,label\nold,B\n")
    put(window, "feedback/2031-05-04/new.csv", 'inference_id,label\nnew,M\n"a,b",B\n')
    put(window, "feedback/2031-05-05/rows.csv", "inference_id,row,label\nmany,2,M\n")
    assert collect(window, "look", NOW)["files"] >= 2
    assert captured(60).removeprefix("captured/breast-cancer/AllTraffic/") in json.loads(read(window, "manifest.json"))
    assert read(window, "truth.csv").splitlines() == ["inference_id,row,label", "new,1,M", '"a,b",1,B', "many,2,M"]


def test_without_an_endpoint_there_is_nothing_to_look_at(window: Window) -> None:
    assert collect(replace(window, endpoint="none-such"), "look", NOW) == {"files": 0, "run": "none"}


def test_a_model_of_no_run_has_nothing_to_be_compared_with(window: Window) -> None:
    with pytest.raises(NotOurs, match=r"is not under s3://elsewhere/runs/: deploy a model by a run first"):
        collect(replace(window, bucket="elsewhere"), "look", NOW)
