"""When a run takes the rows that an earlier one preprocessed: ListData and CheckData against a local AWS's S3."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from lambdas.trigger import listing

pytestmark = pytest.mark.cloud

OWN = "signature-own"
WRITTEN = {
    **{f"rows/{{run}}/{name}/a": b"rows" for name in ("train", "validation", "holdout", "labels", "champion")},
    "runs/{run}/baseline/baseline.json": b'{"rows": {}}',
    "runs/{run}/encoder/model.tar.gz": b"encoder",
}


@dataclass
class Runs:
    """A bucket with data, and runs on it that preprocess if they have to."""

    s3: Any
    bucket: str

    def put(self, key: str, body: bytes = b"x") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"].removeprefix(prefix) for item in listed.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def list(self, run: str, *, variant: str = "none", force: bool = False) -> Any:
        """The rows that ListData names."""
        event = {"execution": run, "fingerprint": "none", "variant": variant, "force": force}
        listed: Any = listing.handle(event, None)
        return listed["rows"]

    def preprocess(self, run: str, **asked: Any) -> Any:
        """A run from ListData to CheckData, with a job in between if there must be one."""
        rows = self.list(run, **asked)
        if not rows["found"]:
            for key, body in WRITTEN.items():
                self.put(key.format(run=run), body)
            listing.handle({"execution": run, "key": rows["key"]}, None)
        return rows

    def entry(self) -> str:
        (name,) = self.keys("preprocessed/")
        return f"preprocessed/{name}"


@pytest.fixture
def made(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Runs:
    s3, name = clients["s3"], f"test-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    environment = {"DATA_BUCKET": name, "DATA_PREFIX": "raw/", "DATA_MARKER": "", "VARIANT": OWN}
    for variable, value in (environment | {"PREPROCESSING": "settings", "CACHE_DAYS": "30"}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(listing.boto3, "client", lambda service: {"s3": s3}[service])
    runs = Runs(s3, name)
    runs.put("raw/a.csv")
    return runs


def test_a_run_on_the_same_takes_the_rows_of_the_first_and_has_all_else_in_its_own_folder(made: Runs) -> None:
    first = made.preprocess("first")
    assert first == {"run": "first", "found": False, "key": first["key"]}
    second, third = made.preprocess("second"), made.preprocess("third")
    assert [second, third] == [{"run": "first", "found": True, "key": first["key"]}] * 2
    assert made.keys("rows/second/") == []
    names = ["baseline/baseline.json", "encoder/model.tar.gz"]
    listed = [f"listing/{name}.json" for name in ("listing", "manifest", "preprocessed")]
    assert made.keys("runs/second/") == [*names, *listed]
    assert [made.read(f"runs/second/{name}") for name in names] == [made.read(f"runs/first/{name}") for name in names]
    told = json.loads(made.read("runs/second/listing/preprocessed.json"))
    assert (told, told["run"]) == (json.loads(made.read(made.entry())), "first")
    assert datetime.now(UTC) - datetime.fromisoformat(told["time"]) < timedelta(minutes=5)


def test_a_champion_of_the_settings_own_signature_changes_nothing_and_one_of_another_does(made: Runs) -> None:
    made.put("signatures/own.json", b'{"own": 1}')
    made.put("signatures/other.json", b'{"other": 1}')
    variants = ["none", OWN, "signature-other", "signature-other", "signature-unknown", "AllTraffic"]
    found = [made.preprocess(f"run-{number}", variant=variant) for number, variant in enumerate(variants)]
    assert [each["run"] for each in found] == ["run-0", "run-0", "run-2", "run-2", "run-4", "run-4"]
    with_champion = [run for run in range(6) if "champion.json" in made.keys(f"runs/run-{run}/listing/")]
    assert with_champion == [2, 3, 4, 5]


def replaced(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.put("raw/a.csv")


def added(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.put("raw/b.csv")


def other_settings(_: Runs, patched: pytest.MonkeyPatch) -> None:
    patched.setenv("PREPROCESSING", "others")


def expired(made: Runs, _: pytest.MonkeyPatch) -> None:
    entry = json.loads(made.read(made.entry()))
    time = datetime.fromisoformat(entry["time"]) - timedelta(days=30)
    made.put(made.entry(), json.dumps({**entry, "time": time.isoformat()}).encode())


def output_gone(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.s3.delete_object(Bucket=made.bucket, Key="rows/first/labels/a")


def output_changed(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.put("rows/first/train/a", b"swor")


def output_added(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.put("rows/first/train/b", b"rows")


def baseline_gone(made: Runs, _: pytest.MonkeyPatch) -> None:
    made.s3.delete_object(Bucket=made.bucket, Key="runs/first/baseline/baseline.json")


def turned_off(_: Runs, patched: pytest.MonkeyPatch) -> None:
    patched.setenv("CACHE_DAYS", "0")


CHANGES = (
    replaced,
    added,
    other_settings,
    expired,
    output_gone,
    output_changed,
    output_added,
    baseline_gone,
    turned_off,
)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_a_run_preprocesses_anew_if_anything_differs(
    made: Runs, monkeypatch: pytest.MonkeyPatch, change: Callable[[Runs, pytest.MonkeyPatch], None]
) -> None:
    made.preprocess("first")
    change(made, monkeypatch)
    second = made.preprocess("second")
    assert (second["run"], second["found"]) == ("second", False)
    assert "preprocessed.json" not in made.keys("runs/second/listing/")
    again = made.preprocess("third")
    assert again["run"] == ("third" if change is turned_off else "second")


JUNK = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b"\xff",
    b'{"run": "first", "time": "yesterday", "files": ""}',
    b'{"run": 1, "time": 2}',
]


@pytest.mark.parametrize("junk", JUNK)
def test_a_run_preprocesses_anew_if_what_was_kept_is_junk(made: Runs, junk: bytes) -> None:
    made.preprocess("first")
    made.put(made.entry(), junk)
    assert made.preprocess("second")["run"] == "second"
    assert made.preprocess("third")["run"] == "second"


def test_a_forced_run_preprocesses_anew_and_later_runs_take_its_rows(made: Runs) -> None:
    made.preprocess("first")
    assert made.preprocess("second", force=True)["run"] == "second"
    assert made.preprocess("third")["run"] == "second"


def test_removed_data_give_the_rows_of_before_they_were_added(made: Runs) -> None:
    made.preprocess("first")
    made.put("raw/b.csv")
    made.preprocess("second")
    made.s3.delete_object(Bucket=made.bucket, Key="raw/b.csv")
    assert made.preprocess("third")["run"] == "first"


def test_nothing_is_kept_of_a_run_that_ended_before_its_data_was_checked_or_whose_data_changed(made: Runs) -> None:
    rows = made.list("killed")
    for key, body in WRITTEN.items():
        made.put(key.format(run="killed"), body)
    assert made.keys("preprocessed/") == []
    made.put("raw/a.csv")
    with pytest.raises(listing.Superseded):
        listing.handle({"execution": "killed", "key": rows["key"]}, None)
    assert made.keys("preprocessed/") == []


def test_nothing_is_kept_of_a_job_that_wrote_not_all(made: Runs) -> None:
    rows = made.list("first")
    for key, body in WRITTEN.items():
        if "/labels/" not in key:
            made.put(key.format(run="first"), body)
    listing.handle({"execution": "first", "key": rows["key"]}, None)
    assert made.keys("preprocessed/") == []


def test_an_error_of_s3_is_not_taken_for_nothing_kept(made: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    made.preprocess("first")
    error = made.s3.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    def refused(**_: Any) -> None:
        raise error

    monkeypatch.setattr(made.s3, "get_object", refused)
    with pytest.raises(made.s3.exceptions.ClientError, match="AccessDenied"):
        made.list("second")
