"""Files that cannot be used: the run fails and names the file, or goes on without it."""

import json

import pytest

from pipeline.jobs.preprocess.data_files import DataFiles, Quarantine, check_left, check_limit
from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.settings import BadRowLimit
from tests.pipeline.jobs.conftest import write_settings
from tests.pipeline.jobs.preprocess.reading import HEADER, settings_with

PARTS = ("train", "validation", "holdout", "labels")
GOOD = HEADER + "a,40,1.5,yes\nb,50,2,no\n"
BAD = {
    "another header": ("age,visits\n1,2\n", ', row 1: missing column "bought", "customer": add it'),
    "no table": ("%PDF-1.7\nx\n", ', row 1: missing column "age", "visits", "bought", "customer": add it'),
    "empty": ("", ": the file is empty: it needs a header and rows"),
    "no row": (HEADER, ": a header and no rows: add rows or remove the file"),
    "a column of text": (HEADER + "a,m,1,yes\nb,f,2,no\n", ': every value of "age" is text'),
    "a wrong row": (HEADER + "a,4,1,yes\nb,5O,2,no\nc,4,1,yes\n", ', row 3, column "age": "5O" is not a finite number'),
    "an open quote": (HEADER + 'a,4,1,yes\nb,5,2,"no\n', ", row 3: unexpected end of data: close the quote"),
    "late": (HEADER + "a,4,1,yes\n" * 50 + 'b,5,2,"no\n', ", row 52: unexpected end of data: close the quote"),
}


def read(folder, memory_bytes=1 << 20, **data):
    """The first feature of each row, and what the quarantine holds."""
    settings = settings_with(**data)
    object.__setattr__(settings, "memory_bytes", memory_bytes)
    files = DataFiles(folder, settings)
    quarantine = Quarantine(folder.parent / "quarantine.jsonl", settings.bad_rows)
    blocks = list(files.records(quarantine))
    check_left(len(files.files), list(files.set_aside.values()))
    rows = [value for records in blocks for value in files.kept(records).features[:, 0].tolist()]
    lines = quarantine.file.read_text("utf-8").splitlines() if quarantine.file.exists() else []
    return rows, [json.loads(line) for line in lines], sum(files.rows)


@pytest.mark.parametrize("memory_bytes", [1 << 20, 4000], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_bad_file_is_set_aside_as_a_whole_and_the_others_are_used(folder, content, reason, memory_bytes):
    for name, text in (("a.csv", GOOD), ("b.csv", content), ("c.csv", GOOD)):
        (folder / name).write_text(text)
    rows, left_out, read_rows = read(folder, memory_bytes, on_bad_file="quarantine")
    assert (rows, read_rows) == ([40, 50, 40, 50], 4)
    assert left_out[-1]["file"] == "b.csv"
    assert left_out[-1]["reason"].startswith("b.csv" + reason)
    assert all(row["file"] == "b.csv" and "text" in row for row in left_out[:-1])


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_else_the_run_fails_and_the_error_names_the_file_and_the_command_that_mends_it(folder, content, reason):
    (folder / "deep").mkdir()
    for name, text in (("a.csv", GOOD), ("deep/b.csv", content)):
        (folder / name).write_text(text)
    with pytest.raises(JobError) as error:
        read(folder)
    assert str(error.value).startswith("deep/b.csv" + reason)
    assert str(error.value).endswith("; or take the file away: ops data remove deep/b.csv")


@pytest.mark.parametrize("limit", [{"count": 1, "share": 0}, {"count": 0, "share": 0.3}])
def test_a_file_within_the_limit_of_bad_rows_is_used_and_one_beyond_is_set_aside(folder, limit):
    (folder / "a.csv").write_text(GOOD + "c,x,1,no\nd,70,1,no\n")
    (folder / "b.csv").write_text(GOOD + "c,x,1,no\nd,y,1,no\n")
    rows, left_out, read_rows = read(folder, bad_rows=limit, on_bad_file="quarantine")
    assert (rows, read_rows) == ([40, 50, 70], 4)
    assert [(line["file"], line.get("row")) for line in left_out] == [
        ("a.csv", 4),
        ("b.csv", 4),
        ("b.csv", 5),
        ("b.csv", None),
    ]


@pytest.mark.parametrize(
    ("count", "share", "read", "most"), [(5, 0.05, 100, 5), (5, 0.1, 100, 10), (5, 0.1, None, 5), (0, 0.01, 300, 3)]
)
def test_as_many_bad_rows_are_allowed_as_the_count_or_the_share_says_whichever_is_more(count, share, read, most):
    limit = BadRowLimit(count, share)
    check_limit(most, ["a.csv, row 2: wrong"], read, limit)
    with pytest.raises(JobError, match=f"{most + 1} .*wrong, more than data.bad_rows allows: a.csv, row 2: wrong"):
        check_limit(most + 1, ["a.csv, row 2: wrong"], read, limit)


def test_when_no_file_is_left_the_error_says_why(folder):
    (folder / "a.csv").write_text("x,y\n")
    (folder / "b.csv").write_text("")
    with pytest.raises(
        JobError, match=r"^no file is left: a\.csv, row 1: missing column .*; b\.csv: the file is empty"
    ):
        read(folder, on_bad_file="quarantine")


def test_the_rows_of_a_file_that_is_set_aside_are_no_bad_rows_of_the_run(shop, tmp_path):
    (shop / "bad.csv").write_text(HEADER + "x,old,1,no\ny,2,2,no\n")
    preprocess(write_settings(tmp_path, on_bad_file="quarantine"), shop, tmp_path / "out")
    rows = json.loads((tmp_path / "out/baseline/baseline.json").read_text())["rows"]
    assert (rows["read"], rows["refused"]) == (60, 0)
    left_out = [json.loads(line) for line in (tmp_path / "out/quarantine/quarantine.jsonl").read_text().splitlines()]
    assert [(line["file"], line.get("row")) for line in left_out] == [("bad.csv", 2), ("bad.csv", None)]


@pytest.mark.parametrize("memory_mb", [512, 0.004])
def test_a_run_without_a_bad_file_gives_what_it_gives_without_the_file(shop, table, tmp_path, memory_mb):
    settings = write_settings(tmp_path, memory_mb, on_bad_file="quarantine")
    preprocess(settings, shop, tmp_path / "wanted")
    (shop / "bad.csv").write_text("\n".join([*table[:1], "x,1,1,no", "y,2,2,no", *table[1:], 'z,1,1,"no']))
    preprocess(settings, shop, tmp_path / "found")
    (text,) = (tmp_path / "found/quarantine/quarantine.jsonl").read_text().splitlines()
    line = json.loads(text)
    assert line["file"] == "bad.csv"
    wanted, found = (
        {path.relative_to(out): path.read_bytes() for part in PARTS for path in (out / part).iterdir()}
        for out in (tmp_path / "wanted", tmp_path / "found")
    )
    assert found == wanted
    wanted, found = (json.loads((tmp_path / out / "baseline/baseline.json").read_text()) for out in ("wanted", "found"))
    assert (found["rows"], found["left_out"]) == (wanted["rows"], [line["reason"]])
    assert "left_out" not in wanted
