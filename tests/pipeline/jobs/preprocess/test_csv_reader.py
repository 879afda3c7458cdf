import re
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pipeline.jobs.preprocess.hints import NO_VALUE
from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.preprocess.records import LINE_BITS
from pipeline.jobs.shared.errors import JobError
from tests.pipeline.jobs.conftest import read_rows
from tests.pipeline.jobs.preprocess.reading import HEADER, read_values, settings_with

RIGHT, WRONG = (
    tomllib.loads(Path(__file__).with_name(name).read_text("utf-8")) for name in ("right_csv.toml", "wrong_csv.toml")
)
GOOD = HEADER + "a,40,1.5,yes\nb,50,2,no\n"


def read(folder, settings, content, name="shop.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_rows(folder, settings)


@pytest.mark.parametrize("size", [1 << 20, 8], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_every_way_to_write_the_same_rows_reads_alike(folder, case, size):
    (folder / "shop.csv").write_bytes(case["content"].encode(case.get("encoding", "utf-8")))
    rows = read_values(folder / "shop.csv", settings_with(**case.get("data", {})), size)
    assert rows == [[40.0, 1.5, 1.0], [50.0, 2.0, 0.0]]


def test_files_are_read_by_path_at_any_depth_and_others_left_alone(folder, settings):
    (folder / "2024").mkdir()
    (folder / "notes.pdf").write_text("not a table")
    read(folder, settings, GOOD, "b.CSV")
    rows, names = read(folder, settings, HEADER + "c,60,3,no\n", "2024/a.csv")
    np.testing.assert_array_equal(rows.features[:, 0], [60, 40, 50])
    places = [(names[place >> LINE_BITS], place % (1 << LINE_BITS)) for place in rows.places.tolist()]
    assert places == [("2024/a.csv", 2), ("b.CSV", 2), ("b.CSV", 3)]


def test_a_regression_target_is_a_number(folder, regression):
    np.testing.assert_array_equal(read(folder, regression, HEADER + "a,40,1,-2.5\n")[0].labels, [-2.5])


def test_minus_zero_is_zero(folder, settings):
    assert not np.signbit(read(folder, settings, HEADER + "a,-0.0,1,yes\n")[0].features).any()


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_with_the_place_and_what_to_do(folder, case):
    with pytest.raises(JobError) as error:
        read(folder, settings_with(**case.get("data", {})), case["content"].encode(case.get("encoding", "utf-8")))
    assert str(error.value) == f"shop.csv{case['message']}; or take the file away: ops data remove shop.csv"


def test_without_show_values_an_error_has_the_place_and_what_to_do_but_no_value(folder):
    hidden, shown = [], set()
    for case in WRONG.values():
        content, data = case["content"].encode(case.get("encoding", "utf-8")), case.get("data", {})
        messages = []
        for show_values in (True, False):
            settings = settings_with(**{**data, "show_values": show_values})
            with pytest.raises(JobError) as error:
                read(folder, settings, content)
            messages.append(str(error.value))
        header, _, rows = case["content"].partition("\n")
        words = {*re.split(r"[,;\t\n\"]", header), *settings.classes, *settings.missing_texts}
        cells = {cell for cell in re.split(r"[,;\t\n\"]", rows) if cell not in words and cell.lower() not in NO_VALUE}
        quoted = cells & set(re.findall(r'"([^"]*)"', messages[0]))
        shown |= quoted
        hidden += [(cell, messages[1]) for cell in quoted if f'"{cell}"' in messages[1]]
        assert messages[0].split(": ")[0] == messages[1].split(": ")[0]
    assert hidden == []
    assert len(shown) > 10


def test_a_wrong_regression_target_is_named(folder, regression):
    message = r'^shop\.csv, row 2, column "bought": "high" is not a finite number: correct it'
    with pytest.raises(JobError, match=message):
        read(folder, regression, HEADER + "a,1,1,high\n")


def test_no_csv_at_all_is_an_error(folder, settings_file, tmp_path):
    (folder / "data.doc").write_text(GOOD)
    with pytest.raises(JobError, match=r"raw: no file whose name ends in \.csv"):
        preprocess(settings_file, folder, tmp_path / "out")


WORDS = '1 2.5 , , , yes no a - e5 1e999 é _ "'
pieces = st.sampled_from([*WORDS.split(), " ", "\n", "\r\n", "\r", "\x00", "\ufeff"])


@profile(max_examples=100, deadline=None)
@example("\ufeff\r", "utf-8")
@given(st.lists(pieces, max_size=40).map("".join), st.sampled_from(["utf-8", "latin-1", "utf-16"]))
def test_any_text_is_read_or_refused_with_the_file_named(settings, text, encoding):
    with tempfile.TemporaryDirectory() as name:
        content = (HEADER + "a,40,1.5,yes\n" + text).encode(encoding, "replace")
        try:
            rows, names = read(Path(name), settings, content)
        except JobError as error:
            assert str(error).startswith("shop.csv")
        else:
            assert np.isfinite(rows.features).all()
            assert set(rows.labels) <= {0, 1}
            assert names[int(rows.places[-1]) >> LINE_BITS] == "shop.csv"
