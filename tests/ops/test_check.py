"""`ops check`: what preprocessing says about files, before they are uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.check import Checked, checked
from pipeline.config import load
from tests.conftest import SHIPPED, WDBC
from tests.ops.typing import HEADER, ROWS, typed

WRONG = ROWS[0].replace(ROWS[0].split(",")[3], "wide", 1)


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_CONFIG", str(SHIPPED))


def test_a_right_file_is_accepted_with_its_counts() -> None:
    answer = typed("check", str(WDBC))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("accepted: 569 rows in 1 file(s)")
    assert "train 3" in answer.out


def test_a_wrong_value_is_named_by_file_row_and_column_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "my rows.csv").write_text("\n".join([HEADER, *ROWS, WRONG]))
    answer = typed("check", str(tmp_path / "my rows.csv"))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: my rows.csv, row 571, column ")
    assert "wide" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["my rows.csv"]


def test_several_files_are_one_data_set(tmp_path: Path) -> None:
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for file, rows in zip(files, (ROWS[:300], ROWS[300:]), strict=True):
        file.write_text("\n".join([HEADER, *rows]))
    assert checked(load(SHIPPED), files).message.startswith("569 rows in 2 file(s)")


def test_a_file_that_a_run_would_set_aside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    settings = load(SHIPPED)
    kind = settings.data.model_copy(update={"on_bad_file": "quarantine"})
    found = checked(settings.model_copy(update={"data": kind}), [WDBC, tmp_path / "other.csv"])
    assert (found.accepted, found.too_few) == (False, False)
    assert found.message.startswith("other.csv, row 1: missing column ")


def test_rows_that_are_right_but_too_few_are_told_from_wrong_ones(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("\n".join([HEADER, *ROWS[:9]]))
    (tmp_path / "wrong.csv").write_text("\n".join([HEADER, WRONG]))
    found = {name: checked(load(SHIPPED), [tmp_path / name]) for name in ("few.csv", "wrong.csv")}
    assert {name: (each.accepted, each.too_few) for name, each in found.items()} == {
        "few.csv": (False, True),
        "wrong.csv": (False, False),
    }
    assert Checked(True, "569 rows are wanted: no").too_few is False


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["a/x.csv", "b/x.csv"], "two files are called x.csv: the second would replace the first"),
        (["notes.pdf"], "no file whose name ends in .csv"),
    ],
)
def test_files_that_are_none_of_the_data_are_refused(files: list[str], message: str, tmp_path: Path) -> None:
    for file in files[: -1 if "none" in files[0] else None]:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("a,b\n1,2\n")
    answer = typed("check", *(str(tmp_path / file) for file in files))
    assert answer.code == 1
    assert message in answer.err


def test_a_name_with_a_line_break_is_refused_in_one_line(tmp_path: Path) -> None:
    odd = tmp_path / "my\nrows.csv"
    odd.write_text("\n".join([HEADER, *ROWS]))
    answer = typed("check", str(odd))
    message = "error: the name $'my\\nrows.csv' has a control character: rename the file\n"
    assert (answer.code, answer.out, answer.err) == (1, "", message)
