"""Numbers, booleans, categories, missing values and labels, as files have them."""

import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pipeline.jobs.shared.errors import BadFile, JobError
from pipeline.jobs.shared.labels import class_of
from tests.pipeline.jobs.preprocess.reading import HEADER, read_blocks, read_values, settings_with

GOOD = b"customer,age,visits,bought\na,40,1.5,yes\nb,50,2,no\n"


def read(folder, text, size=1 << 20, **data):
    (folder / "shop.csv").write_text(text, "utf-8")
    return read_values(folder / "shop.csv", settings_with(**data), size)


def read_column(folder, values, size=1 << 20, **data):
    """The column "age" with these values."""
    lines = [f"c{number},{value},1,yes\n" for number, value in enumerate(values)]
    return [row[0] for row in read(folder, HEADER + "".join(lines), size, **data)]


@pytest.mark.parametrize("size", [1 << 20, 8], ids=["one block", "tiny blocks"])
def test_categories_are_texts_with_one_space_between_words_and_whole_numbers_without_a_point(folder, size):
    values = ["male", " fe  male ", '"a, b"', "Male", "3.0", "3", "07", "é", "NA"]
    wanted = ["male", "fe male", "a, b", "Male", "3", "3", "07", "é", "NA"]
    assert read_column(folder, values, size, kinds={"age": "categorical"}) == wanted


@pytest.mark.parametrize("size", [1 << 20, 8], ids=["one block", "tiny blocks"])
def test_booleans_are_words_in_any_case(folder, size):
    yes, no = ["true", "TRUE", " T", "yes", "Y", "1", "1.0", "on"], ["false", "F", "No", "n", "0", "0.0", "Off"]
    assert read_column(folder, yes + no, size, kinds={"age": "boolean"}) == [1.0] * len(yes) + [0.0] * len(no)


@pytest.mark.parametrize("size", [1 << 20, 8], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize(
    ("kind", "value", "wanted"), [("numeric", "4", 4.0), ("boolean", "yes", 1.0), ("categorical", "m", "m")]
)
def test_missing_values_are_the_empty_text_and_those_of_the_settings(folder, kind, value, wanted, size):
    missing = {"texts": ["?", "N/A", "-999"], "impute": ["age"]}
    values = [value, "", "?", " N/A ", "  ", "-999", "-999.0", '""', value]
    found = read_column(folder, values, size, kinds={"age": kind}, missing=missing)
    assert found == [wanted, *[None] * 7, wanted]


@pytest.mark.parametrize("texts", [["-999"], ["-999.0"]])
def test_a_column_of_numbers_alone_lacks_a_value_where_the_number_means_none(folder, texts):
    missing = {"texts": texts, "impute": ["age"]}
    assert read_column(folder, ["4", "-999", "-999.00", "-9.99e2"], missing=missing) == [4.0, None, None, None]


def test_a_missing_value_and_a_wrong_one_in_a_column_are_told_apart(folder):
    missing, limit = {"texts": ["?"], "impute": ["*"]}, {"count": 9, "share": 0}
    values = ["1", "", "5O", "?", "2", "1e999", "3", "nan", "4", "5"]
    assert read_column(folder, values, missing=missing, bad_rows=limit) == [1, None, None, 2, 3, 4, 5]


def test_numbers_need_their_marks_where_they_belong(folder):
    form, limit = {"separator": ";", "decimal": ",", "thousands": ".", "symbols": "€%"}, {"count": 99, "share": 0}
    right = {"1.234.567,5": 1234567.5, "-€ 1.000": -1000.0, "€-5": -5.0, "12,": 12.0, ",5 %": 0.5, "1234567": 1234567.0}
    wrong = ["1.23.4", "1.2345", "0.123", "1,2,3", "5 $", "€", "1 2"]
    lines = [f"c;{value};1;yes\n" for value in [*right, *wrong]]
    (folder / "shop.csv").write_text(HEADER.replace(",", ";") + "".join(lines), "utf-8")
    (rows,), _ = read_blocks(folder / "shop.csv", settings_with(format=form, bad_rows=limit))
    assert rows.features[0].tolist() == list(right.values())
    assert [json.dumps(row.text.split(";")[1]) for row in rows.bad] == [json.dumps(value) for value in wrong]


@pytest.mark.parametrize("mark", [" ", "\u00a0", "\u202f"])
def test_thousands_may_be_marked_by_any_space(folder, mark):
    assert read_column(folder, [f"1{mark}234{mark}567.5"], format={"thousands": " "}) == [1234567.5]


def test_rows_of_other_widths_are_bad_rows_and_the_others_are_used(folder):
    settings = settings_with(bad_rows={"count": 9, "share": 0}, kinds={"age": "categorical"})
    (folder / "shop.csv").write_text(HEADER + 'a,m,1,yes\nb,f\n\nc,f,2,no,x\n"d\nd",f,x,no\ne,f,3,no\n')
    (rows,), levels = read_blocks(folder / "shop.csv", settings)
    assert [levels.of("age")[int(code)] for code in rows.features[0]] == ["m", "f"]
    assert (rows.lines.tolist(), rows.labels.tolist(), len(rows.contents)) == ([2, 8], [1, 0], 2)
    assert [(row.row, row.reason) for row in rows.bad] == [
        (3, "2 values, the header has 4: correct the row"),
        (5, "5 values, the header has 4: correct the row"),
        (6, '"x" is not a finite number: correct it or remove the row'),
    ]


def test_a_filled_column_after_the_last_separator_is_a_bad_row(folder):
    (folder / "shop.csv").write_text(HEADER + "a,1,1,yes,\nb,2,2,no,x\n")
    (rows,), _ = read_blocks(folder / "shop.csv", settings_with())
    assert [str(row) for row in rows.bad] == ["shop.csv, row 3: 5 values, the header has 4: correct the row"]


def test_too_many_levels_name_the_column(folder):
    values = [f"level {number}" for number in range(201)]
    with pytest.raises(
        JobError, match=r'column "age": more than 200 different values: put it in data\.ignored_columns'
    ):
        read_column(folder, values, kinds={"age": "categorical"}, levels={"maximum": 2})


def test_the_content_of_a_row_is_the_same_however_the_file_is_written(folder):
    texts = [
        "age,visits,bought,note\n1000.5,2,yes,?\n1,2,no,3.0\n",
        'note;bought;visits;age\n?; yes ;2,0;1.000,50 €\n3;no;2;"1"\n',
    ]
    forms = [{}, {"separator": ";", "decimal": ",", "thousands": ".", "symbols": "€"}]
    found = []
    for text, form in zip(texts, forms, strict=True):
        for features, ignored in ((["age", "visits"], ["note"]), (["visits"], ["age", "note"])):
            settings = settings_with(
                id_columns=[], ignored_columns=ignored, features=features, missing={"texts": ["?"]}, format=form
            )
            (folder / "shop.csv").write_text(text, "utf-8")
            (rows,), _ = read_blocks(folder / "shop.csv", settings)
            found.append(rows.contents.tolist())
    assert found == [found[0]] * 4
    assert len(set(found[0])) == 2


@pytest.mark.parametrize(
    ("text", "classes", "wanted"),
    [
        (" yes ", ["no", "yes"], 1),
        ("YES", ["no", "yes"], 1),
        ("True", ["false", "true"], 1),
        ("False", ["false", "true"], 0),
        ("1.0", ["0", "1"], 1),
        ("1e0", ["0", "1"], 1),
        ("1", ["0.0", "1.0"], 1),
        ("true", ["0", "1"], 1),
        ("1.0", ["no", "yes"], 1),
        ("3", ["1", "2", "3"], 2),
        ("true", ["1", "2", "3"], 0),
        ("a", ["A", "a"], 1),
        ("B", ["a", "b"], None),
        ("true", ["yes", "true", "no"], 1),
        ("on", ["yes", "true", "no"], None),
        ("", ["no", "yes"], None),
        ("nan", ["0", "1"], None),
    ],
)
def test_a_label_is_the_class_of_the_same_text_number_or_meaning(text, classes, wanted):
    assert class_of(text, classes) == wanted


def zipped(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            member = zipfile.ZipInfo(name.replace("__", "."))  # without the time of now: each worker names a test alike
            file.writestr(member, content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("shop.csv", GOOD),
        ("shop.TXT", GOOD),
        ("shop.data", GOOD),
        ("shop.tsv", GOOD.replace(b",", b"\t")),
        ("shop.csv.gz", gzip.compress(GOOD, mtime=0)),
        ("shop.gz", gzip.compress(GOOD, mtime=0)),
        ("shop.tsv.gz", gzip.compress(GOOD.replace(b",", b"\t"), mtime=0)),
        ("shop.csv.zip", zipped(any=GOOD)),
        ("shop.zip", zipped(shop__csv=GOOD, readme__md="read me")),
        ("shop.zip", zipped(shop__tsv=GOOD.replace(b",", b"\t"))),
    ],
)
def test_files_are_read_by_their_names(folder, name, content):
    (folder / name).write_bytes(content)
    assert read_values(folder / name, settings_with()) == [[40.0, 1.5, 1.0], [50.0, 2.0, 0.0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shop.gz", GOOD, "Not a gzipped file (b'cu'): pack the file again"),
        ("shop.csv.gz", gzip.compress(GOOD, mtime=0)[:-9], "Compressed file ended before the end-of-stream marker"),
        ("shop.zip", GOOD, "File is not a zip file: pack the file again"),
        ("shop.zip", zipped(), "no file in the archive, want one table: upload each by itself"),
        ("shop.zip", zipped(a__csv=GOOD, b__csv=GOOD), "2 files (a.csv, b.csv) in the archive, want one table"),
    ],
)
def test_an_archive_that_cannot_be_read_is_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(BadFile) as error:
        read_values(folder / name, settings_with())
    assert str(error.value).startswith(f"{name}: {message}")


values = st.floats(-1e9, 1e9).map(lambda value: round(value, 3))
words = st.text(st.sampled_from("abé \"';,\t|x"), max_size=6).map(lambda text: text.strip())
forms = st.builds(
    dict,
    separator=st.sampled_from(";|\t"),
    decimal=st.sampled_from(",."),
    thousands=st.sampled_from(["", "'"]),
    quote=st.sampled_from(['"', "'"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252"]),
).filter(lambda form: form["thousands"] != form["quote"])


@profile(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(values | st.none(), words, st.booleans()), min_size=1, max_size=20),
    forms,
    st.sampled_from([1 << 20, 40]),
    st.booleans(),
)
def test_rows_written_in_any_format_read_as_they_are(rows, form, size, header):
    def quoted(text):
        sign = form["quote"]
        return sign + text.replace(sign, 2 * sign) + sign

    def number(value):
        if value is None:
            return ""
        marks = {",": form["thousands"], ".": form["decimal"]}
        return "".join(marks.get(sign, sign) for sign in f"{value:,.3f}")

    lines = [[quoted(word), number(value), "1", "yes" if label else "NO"] for value, word, label in rows]
    names = ["visits", "age", "customer", "bought"]
    text = "\r\n".join(form["separator"].join(line) for line in ([names] if header else []) + lines)
    settings = settings_with(
        features=["age", "visits"],
        kinds={"visits": "categorical"},
        missing={"impute": ["*"]},
        format=form | {"header": header, "names": [] if header else names},
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shop.csv"
        file.write_bytes(text.encode(form["encoding"]))
        found = read_values(file, settings, size)
    wanted = [[value, " ".join(word.split()) or None, float(label)] for value, word, label in rows]
    assert found == wanted
