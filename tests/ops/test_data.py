"""`ops upload` and `ops data`: what lies under the prefix of a versioned bucket, and what the next run reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.data import listed
from tests.conftest import WDBC, Deployed
from tests.ops.typing import HEADER, ROWS, Answer, typed

pytestmark = pytest.mark.cloud


@pytest.fixture
def bucket(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """The stack with no version of any file under the prefix."""
    purge(deployed)
    yield deployed
    purge(deployed)


def purge(deployed: Deployed) -> None:
    name, s3 = deployed.account.outputs["DataBucket"], deployed.account.s3
    found = s3.list_object_versions(Bucket=name, Prefix="raw/")
    for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])


def states(bucket: Deployed) -> dict[str, tuple[int, int, bool]]:
    return {item.name: (item.size, item.versions, item.removed) for item in listed(bucket.account)}


def put(bucket: Deployed, name: str, body: bytes) -> None:
    bucket.account.s3.put_object(Bucket=bucket.account.outputs["DataBucket"], Key=f"raw/{name}", Body=body)


def said(answer: Answer) -> str:
    assert answer.code == 0, answer.err
    return answer.out


def test_a_file_is_listed_removed_and_restored_with_what_the_next_run_reads(bucket: Deployed) -> None:
    put(bucket, "a.csv", b"one")
    put(bucket, "a.csv", b"three")
    put(bucket, "b.csv", b"two")
    assert states(bucket) == {"a.csv": (5, 2, False), "b.csv": (3, 1, False)}
    assert said(typed("data", "list")).endswith("the next run reads 2 file(s), 8 bytes: a.csv, b.csv\n")
    assert said(typed("data", "remove", "a.csv")).splitlines() == [
        "removed a.csv; `ops data restore a.csv` brings it back",
        "the next run reads 1 file(s), 3 bytes: b.csv; `ops retrain` starts it",
    ]
    assert states(bucket) == {"a.csv": (5, 2, True), "b.csv": (3, 1, False)}
    assert "removed" in said(typed("data", "list"))
    assert said(typed("data", "restore", "raw/a.csv")).splitlines() == [
        "restored a.csv",
        "the next run reads 2 file(s), 8 bytes: a.csv, b.csv; `ops retrain` starts it",
    ]
    name = bucket.account.outputs["DataBucket"]
    assert bucket.account.s3.get_object(Bucket=name, Key="raw/a.csv")["Body"].read() == b"three"


def test_nothing_to_list_to_remove_or_to_restore_is_exit_code_4(bucket: Deployed) -> None:
    answer = typed("data", "list")
    assert (answer.code, answer.out.partition(" ")[2]) == (4, "is empty: `ops upload FILE` fills it\n")
    put(bucket, "a.csv", b"one")
    for command, message in (
        (("remove", "A.csv"), "has no A.csv; did you mean a.csv? `ops data list` shows the files"),
        (("restore", "a.csv"), "a.csv is not removed"),
    ):
        answer = typed("data", *command)
        assert (answer.code, answer.out) == (4, "")
        assert message in answer.err
    typed("data", "remove", "a.csv")
    assert typed("data", "remove", "a.csv").err == "error: a.csv is removed already\n"


def test_upload_refuses_what_the_check_refuses_unless_forced(bucket: Deployed, tmp_path: Path) -> None:
    wrong, notes = tmp_path / "wrong.csv", tmp_path / "notes.pdf"
    wrong.write_text("\n".join([HEADER, *ROWS, "1,2"]))
    notes.write_text("no table")
    for file in (wrong, notes):
        answer = typed("upload", str(WDBC), str(file)) if file == wrong else typed("upload", str(file))
        assert answer.code == 1
        assert answer.err.endswith("\nnothing was uploaded; --force uploads it all the same\n")
        assert states(bucket) == {}
    assert "wrong.csv, row 571" in typed("upload", str(wrong)).err
    assert said(typed("upload", "--force", str(notes))).startswith("uploaded s3://")
    assert list(states(bucket)) == ["notes.pdf"]


def test_several_files_are_uploaded_at_once(bucket: Deployed, tmp_path: Path) -> None:
    more = tmp_path / "more rows.csv"
    more.write_text("\n".join([HEADER, *ROWS[:50]]))
    said(typed("upload", str(WDBC), str(more)))
    assert {name: size for name, (size, *_) in states(bucket).items()} == {
        "more rows.csv": more.stat().st_size,
        "wdbc.csv": WDBC.stat().st_size,
    }


def test_too_few_rows_may_be_added_to_others_but_not_come_first(bucket: Deployed, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("\n".join([HEADER, *ROWS[:3]]))
    assert typed("upload", str(few)).code == 1
    put(bucket, "wdbc.csv", WDBC.read_bytes())
    text = said(typed("upload", str(few)))
    assert text.startswith("note: ")
    assert "the run reads the 1 other file(s) too" in text


def test_keys_that_are_no_files_are_listed_in_a_line_each_and_removed_by_what_is_shown(bucket: Deployed) -> None:
    names = ["/x.csv", "a\n.csv", "x.csv", "x.csv/y"]
    for name in names:
        put(bucket, name, b"rows")
    shown = ["/x.csv", "$'a\\n.csv'", "x.csv", "x.csv/y"]
    told = said(typed("data", "list"))
    assert told.endswith(f"the next run reads 4 file(s), 16 bytes: {', '.join(shown)}\n")
    for name, each in zip(names, shown, strict=True):
        assert said(typed("data", "remove", name)).startswith(f"removed {each}; ")
    assert {name: removed for name, (*_, removed) in states(bucket).items()} == dict.fromkeys(names, True)


def test_a_file_is_not_uploaded_over_a_folder_of_its_name(bucket: Deployed) -> None:
    put(bucket, "wdbc.csv/part.csv", b"rows")
    answer = typed("upload", "--force", str(WDBC))
    assert answer.code == 1
    assert answer.err.endswith(" has files below wdbc.csv/, so wdbc.csv cannot be a file: rename it\n")
    assert list(states(bucket)) == ["wdbc.csv/part.csv"]
