"""The requests that start a run, against a local AWS."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from lambdas.trigger import listing
from lambdas.trigger.listing import data_of
from lambdas.trigger.start import BadRequest, Overtaken, Pipeline, Request
from tests.lambdas.conftest import table_and_machine

UPLOAD = Request("upload", False, "11111111-2222")
FORCED = Request("manual", True, "abcd-0123-4567-89ef")
WITHOUT_CACHE = {"DATA_PREFIX": "raw/", "DATA_MARKER": "_SUCCESS", "VARIANT": "signature-own", "CACHE_DAYS": "0"}


@dataclass(frozen=True)
class Place:
    """The pipeline, and access to its data and runs."""

    pipeline: Pipeline

    def put(self, *keys: str, body: bytes = b"x") -> None:
        for key in keys:
            self.pipeline.s3.put_object(Bucket=self.pipeline.data_bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.pipeline.s3.delete_object(Bucket=self.pipeline.data_bucket, Key=key)

    def name(self) -> str:
        """Return the name of a run on the present data."""
        return f"{self.pipeline.list_data()[0]['fingerprint'][:24]}-01234567"

    def runs(self) -> dict[str, Any]:
        """Return the input of each execution by its name."""
        states = self.pipeline.states
        listed = states.list_executions(stateMachineArn=self.pipeline.state_machine, maxResults=100)["executions"]
        described = [states.describe_execution(executionArn=run["executionArn"]) for run in listed]
        return {run["name"]: json.loads(run["input"]) for run in described}

    def item(self) -> dict[str, dict[str, str]]:
        """Return the lease's item."""
        key = {"endpoint": {"S": self.pipeline.endpoint_name}}
        answer = self.pipeline.dynamodb.get_item(TableName=self.pipeline.lease_table, Key=key)
        return dict(answer["Item"])

    def latest(self) -> str:
        """Return the latest wanted run."""
        return self.item()["latest"]["S"]


@pytest.fixture
def place(clients: dict[str, Any]) -> Place:
    name = f"test-{uuid4().hex[:8]}"
    clients["s3"].create_bucket(Bucket=name)
    clients["s3"].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    machine = table_and_machine(clients, name)
    return Place(Pipeline(name, "raw/", "", machine, "0123456789abcdef", "c0ffee", name, "shop", **clients))


@pytest.mark.cloud
def test_data_starts_a_run_whose_input_has_the_reason_and_the_data(place: Place) -> None:
    place.put("raw/a.csv", body=b"12")
    place.put("raw/b.csv", body=b"345")
    place.put("raw/folder/", "other/c.csv", "raw/gone.csv")
    place.delete("raw/gone.csv")
    data, name = place.pipeline.list_data()[0], place.name()
    arn = f"{place.pipeline.state_machine.replace(':stateMachine:', ':execution:')}:{name}"
    answer = {"result": "started", "detail": f"run {name}, 2 objects", "execution": arn}
    assert place.pipeline.start([UPLOAD]) == answer
    assert place.runs() == {
        name: {
            "reason": "upload",
            "data": {"fingerprint": data["fingerprint"], "objects": 2, "bytes": 5, "newest": data["newest"]},
            "settings": "0123456789abcdef",
            "commit": "c0ffee",
            "force": False,
            "request": "11111111-2222",
        }
    }
    assert place.item() == {"endpoint": {"S": "shop"}, "latest": {"S": name}, "version": {"N": "1"}}


@pytest.mark.cloud
def test_the_same_data_starts_nothing_but_other_settings_versions_or_less_data_do(place: Place) -> None:
    place.put("raw/a.csv", "raw/bad.csv")
    place.pipeline.start([UPLOAD])
    why = f"run {place.name()} had this data and these settings, and is RUNNING; --force runs them again"
    scheduled = Request("schedule", False, "another")
    assert place.pipeline.start([scheduled]) == {"result": "nothing new", "detail": why}
    assert list(place.runs()) == [place.name()]
    assert replace(place.pipeline, settings_hash="fedcba98").start([UPLOAD])["result"] == "started"
    place.put("raw/a.csv")
    assert place.pipeline.start([UPLOAD])["result"] == "started"
    place.delete("raw/bad.csv")
    assert place.pipeline.start([UPLOAD])["detail"] == f"run {place.name()}, 1 objects"
    assert (place.latest(), len(place.runs())) == (place.name(), 4)


@pytest.mark.cloud
def test_force_runs_again_once_per_message_and_a_late_duplicate_does_not_supersede_it(place: Place) -> None:
    place.put("raw/a.csv")
    place.pipeline.start([UPLOAD])
    forced = f"{place.name()}-abcd0123"
    assert place.pipeline.start([UPLOAD, FORCED])["detail"] == f"run {forced}, 1 objects"
    assert place.pipeline.start([FORCED])["result"] == "nothing new"
    assert {name: (run["reason"], run["force"]) for name, run in place.runs().items()} == {
        place.name(): ("upload", False),
        forced: ("manual", True),
    }
    assert place.pipeline.start([UPLOAD])["result"] == "nothing new"
    assert place.latest() == forced


@pytest.mark.cloud
def test_nothing_starts_without_data_or_without_a_newer_marker(place: Place) -> None:
    pipeline = replace(place.pipeline, data_marker="_SUCCESS")
    folder = f"s3://{pipeline.data_bucket}/raw/"
    place.put("raw/")
    assert pipeline.start([FORCED]) == {"result": "no data", "detail": f"{folder} is empty: upload a CSV"}
    waiting = {"result": "waiting", "detail": f"upload {folder}_SUCCESS after the data"}
    place.put("raw/a.csv")
    assert pipeline.start([UPLOAD]) == waiting
    assert pipeline.start([FORCED]) == waiting
    place.put("raw/_SUCCESS")
    assert pipeline.start([UPLOAD])["detail"].endswith(", 1 objects")
    place.put("raw/_SUCCESS")
    assert pipeline.start([UPLOAD])["result"] == "nothing new"
    place.put("raw/b.csv")
    assert pipeline.start([UPLOAD]) == waiting
    place.put("raw/_SUCCESS")
    assert pipeline.start([UPLOAD])["detail"].endswith(", 2 objects")
    assert len(place.runs()) == 2


@pytest.mark.cloud
def test_a_run_notes_the_objects_that_it_reads_with_their_times_and_versions(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, s3 = place.pipeline.data_bucket, place.pipeline.s3
    for key in ("raw/b.csv", "raw/a.csv", "raw/folder/", "raw/gone.csv", "raw/_SUCCESS", "other/c.csv"):
        place.put(key)
    place.put("raw/a.csv", body=b"345")
    place.delete("raw/gone.csv")
    heads = {key: s3.head_object(Bucket=bucket, Key=key) for key in ("raw/a.csv", "raw/b.csv")}
    for name, value in {**WITHOUT_CACHE, "DATA_BUCKET": bucket}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(listing.boto3, "client", lambda service: {"s3": s3}[service])
    asked = data_of(listing.list_objects(s3, bucket, "raw/", "_SUCCESS")[0])
    event = {"execution": "run-1", "fingerprint": asked["fingerprint"], "variant": "none"}
    assert listing.handle(event, None) == {**asked, "rows": {"run": "run-1", "found": False, "key": ""}}
    written = json.load(s3.get_object(Bucket=bucket, Key="runs/run-1/listing/listing.json")["Body"])
    manifest = json.load(s3.get_object(Bucket=bucket, Key="runs/run-1/listing/manifest.json")["Body"])
    assert manifest == [{"prefix": f"s3://{bucket}/raw/"}, "a.csv", "b.csv"]
    assert [
        {**item, "modified": datetime.fromisoformat(item["modified"]).replace(microsecond=0)} for item in written
    ] == [
        {"key": key, "modified": head["LastModified"], "size": head["ContentLength"], "version": head["VersionId"]}
        for key, head in heads.items()
    ]
    assert [item["size"] for item in written] == [3, 1]
    known = b'{"signature": "abc"}'
    place.put("signatures/abc.json", body=known)
    for variant, document in (("signature-abc", known), ("signature-abd", b"{}"), ("AllTraffic", b"{}")):
        listing.handle({**event, "execution": variant, "variant": variant}, None)
        found = s3.get_object(Bucket=bucket, Key=f"runs/{variant}/listing/champion.json")["Body"].read()
        assert found == document
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="runs/run-1/")["Contents"]]
    assert keys == ["runs/run-1/listing/listing.json", "runs/run-1/listing/manifest.json"]


@pytest.fixture
def listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """ListData, and CheckData without a fingerprint, on the data of `place` with a marker."""
    for name, value in {**WITHOUT_CACHE, "DATA_BUCKET": place.pipeline.data_bucket}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(listing.boto3, "client", lambda service: place.pipeline.s3)
    return lambda **event: listing.handle({"execution": "run-1", **event}, None)


@pytest.mark.cloud
@pytest.mark.parametrize("change", ["new", "replaced", "removed"])
def test_a_run_is_superseded_when_the_data_changed_after_it_was_asked_for(
    place: Place, listed: Callable[..., Any], change: str
) -> None:
    place.put("raw/a.csv", "raw/b.csv", "raw/_SUCCESS")
    asked = place.pipeline.list_data()[0]["fingerprint"]
    {"new": lambda: place.put("raw/c.csv"), "replaced": lambda: place.put("raw/a.csv")}.get(
        change, lambda: place.delete("raw/b.csv")
    )()
    with pytest.raises(listing.Superseded, match=r"^the data changed after this run was asked for"):
        listed(fingerprint=asked, variant="none")


@pytest.mark.cloud
def test_a_run_is_superseded_when_what_it_reads_changed_but_not_by_a_new_file(
    place: Place, listed: Callable[..., Any]
) -> None:
    place.put("raw/a.csv", "raw/b.csv", "raw/_SUCCESS")
    listed(fingerprint="none", variant="none")
    place.put("raw/c.csv")
    assert listed() == {"objects": 2}
    place.put("raw/a.csv")
    with pytest.raises(listing.Superseded, match=r"^raw/a\.csv changed while this run read it"):
        listed()
    place.put("raw/_SUCCESS")
    listed(fingerprint="none", variant="none")
    place.delete("raw/b.csv")
    with pytest.raises(listing.Superseded, match=r"^raw/b\.csv changed while this run read it"):
        listed()


UNUSABLE = {
    "/b.csv": "/b.csv, but a part of its path is empty or consists of dots: ops data remove /b.csv",
    "x//b c.csv": "'x//b c.csv', but a part of its path is empty or consists of dots: ops data remove 'x//b c.csv'",
    "b\n.csv": "$'b\\n.csv', but its name has a control character: ops data remove $'b\\n.csv'",
    "a.csv/b.csv": "a.csv, but other keys have it as their folder: ops data remove a.csv",
}


@pytest.mark.cloud
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_is_no_file_beside_the_others_is_named_with_the_command_that_removes_it(
    place: Place, listed: Callable[..., Any], name: str
) -> None:
    place.put("raw/a.csv", "raw/a.csv.gz", "raw/more/a.csv", f"raw/{name}", "raw/_SUCCESS")
    with pytest.raises(listing.KeyUnusable) as caught:
        listed(fingerprint="none", variant="none")
    assert str(caught.value) == f"s3://{place.pipeline.data_bucket}/raw/ has {UNUSABLE[name]}"
    place.delete(f"raw/{name}")
    assert listed(fingerprint="none", variant="none")["objects"] == 3


@pytest.mark.cloud
def test_a_run_without_a_request_reads_what_is_there_if_the_marker_allows_it(
    place: Place, listed: Callable[..., Any]
) -> None:
    folder = f"s3://{place.pipeline.data_bucket}/raw/"
    with pytest.raises(listing.DataIncomplete, match=f"^{folder} is empty: upload a CSV$"):
        listed(fingerprint="none", variant="none")
    place.put("raw/a.csv")
    with pytest.raises(listing.DataIncomplete, match=f"^upload {folder}_SUCCESS after the data$"):
        listed(fingerprint="none", variant="none")
    place.put("raw/_SUCCESS")
    data = data_of(listing.list_objects(place.pipeline.s3, place.pipeline.data_bucket, "raw/", "_SUCCESS")[0])
    own = {"run": "run-1", "found": False, "key": ""}
    assert listed(fingerprint="none", variant="none") == {**data, "rows": own}


@pytest.mark.cloud
def test_a_message_whose_first_attempt_failed_before_the_start_still_starts_its_run(place: Place) -> None:
    place.put("raw/a.csv")
    nowhere = place.pipeline.state_machine.replace("stateMachine:", "stateMachine:no-")
    with pytest.raises(place.pipeline.states.exceptions.StateMachineDoesNotExist):
        replace(place.pipeline, state_machine=nowhere).start([UPLOAD])
    assert place.latest() == place.name()
    assert place.pipeline.start([UPLOAD])["result"] == "started"


@pytest.mark.drill("race", "concurrent requests for a run", "the latest wanted run has all data")
@pytest.mark.cloud
def test_after_concurrent_requests_the_latest_wanted_run_has_all_data(place: Place) -> None:
    def upload(number: int) -> None:
        place.put(f"raw/{number}.csv")
        place.pipeline.start([UPLOAD])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(upload, range(8)))
    assert place.latest() == place.name()
    assert place.runs()[place.name()]["data"]["objects"] == 8


class Busy:
    """S3, where another request starts a run on newer data during each listing."""

    def __init__(self, place: Place) -> None:
        self.place, self.listings = place, 0

    def get_paginator(self, name: str) -> Any:
        self.listings += 1
        return self

    def paginate(self, **arguments: str) -> Iterator[Any]:
        self.place.put("raw/a.csv")
        pages = list(self.place.pipeline.s3.get_paginator("list_object_versions").paginate(**arguments))
        self.place.put("raw/a.csv")
        self.place.pipeline.start([UPLOAD])
        return iter(pages)


@pytest.mark.drill("race", "a request that others always overtake", "it returns to the queue")
@pytest.mark.cloud
def test_a_request_that_others_always_overtake_returns_to_the_queue(place: Place) -> None:
    place.put("raw/a.csv")
    busy = Busy(place)
    message = f"^s3://{place.pipeline.data_bucket}/raw/: other requests overtook this one in each of 10 attempts"
    with pytest.raises(Overtaken, match=message):
        replace(place.pipeline, s3=busy).start([Request("drift", False, "d")])
    assert busy.listings == 10
    assert place.latest() == place.name()
    assert {run["reason"] for run in place.runs().values()} == {"upload"}


def test_a_request_has_a_reason_and_may_force() -> None:
    assert Request.parse({"reason": "upload", "key": "raw/a.csv"}, "1") == Request("upload", False, "1")
    assert Request.parse({"reason": "manual", "force": True}, "2") == Request("manual", True, "2")


@pytest.mark.parametrize(
    "junk", [None, 3, "x", [], {}, {"reason": "x"}, {"reason": []}, {"reason": "drift", "force": 1}]
)
def test_junk_is_rejected_with_the_form_of_a_request(junk: object) -> None:
    form = 'want {"reason": one of upload, schedule, drift, manual, delivery, "force": true or false}'
    with pytest.raises(BadRequest, match=f"^{re.escape(form)}$"):
        Request.parse(junk, "1")
