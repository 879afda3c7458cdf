"""Rows of a table with categories, booleans and gaps: what reaches the model, and what is refused."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from lambdas.predict import rows
from lambdas.predict.problem import Problem
from pipeline.config import Settings
from pipeline.jobs.shared import encoder
from tests.conftest import ROOT

NUMBER = "must be a number from -1e+30 to 1e+30"
TEXT = "must be text: at most 1000 characters, no control characters"
MOST = 2000
GOOD = [22, "3", "male", "Cork", True, 7.25]
PATH = "/predictions"


@pytest.fixture
def known(passengers: Settings) -> rows.Signature:
    return passengers.api_signature


def faults(read: Any, text: str, settings: rows.Signature) -> list[Any]:
    with pytest.raises(Problem, match="bad-rows") as refused:
        read(text, settings, MOST)
    return refused.value.errors or []


def test_rows_of_every_form_reach_the_model_as_csv(encoded: Any, call: Any, sagemaker: Any) -> None:
    call.api = encoded
    assert call.post("/predict", {"data": '22,3.0, male ,"Cork, Ireland",no,7.25'}) == "yes"
    by_name = {"fare": 7.25, "sex": "male", "class": 3, "alone": False, "port": "Cork, Ireland", "age": 22}
    call.post(PATH, {"instances": [[22, "3", "male", "Cork, Ireland", "FALSE", 7.25], by_name]})
    call("POST", PATH, '\ufeff22,3,male,"Cork, Ireland",0,7.25\r\n22,3,male,"Cork, Ireland",n,7.25\r\n', "text/csv")
    line = '22.0,3,male,"Cork, Ireland",false,7.25'
    assert sagemaker.rows == [line, f"{line}\n{line}", f"{line}\n{line}"]
    assert call.status == 200


def test_the_bodies_of_the_guide_have_the_same_row(known: rows.Signature) -> None:
    guide = (ROOT / "docs" / "api.md").read_text("utf-8").partition("These bodies have the same row")[2]
    data, array, by_name, line = guide.split("```")[1].strip().splitlines()
    columns = dict(zip(known.features, known.columns, strict=True))
    names = ["age", "sex", "port", "alone", "fare"]
    settings = replace(known, features=names, columns=[columns[name] for name in names])
    read = [rows.from_data(data, settings, MOST), rows.from_instances(array, settings, MOST)]
    read += [rows.from_instances(by_name, settings, MOST), rows.from_csv(line, settings, MOST)]
    assert read == [['22.0,male,"Cork, Ireland",,7.25']] * 4


def test_a_missing_value_is_null_or_a_text_that_means_it_or_is_left_out(known: rows.Signature) -> None:
    given = [
        *([nothing, "3", "male", nothing, nothing, 7.25] for nothing in (None, "", " ", "?", " ? ", "-1", -1)),
        {"class": 3, "sex": "male", "fare": 7.25},
    ]
    assert rows.from_instances(json.dumps({"instances": given}), known, MOST) == [",3,male,,,7.25"] * 8
    lines = [f"{nothing},3,male,{nothing},{nothing},7.25" for nothing in ("", " ", "?", '"?"', '""', "-1")]
    assert rows.from_csv("\n".join(lines), known, MOST) == [",3,male,,,7.25"] * 6
    assert rows.from_data(json.dumps({"data": lines[0]}), known, MOST) == [",3,male,,,7.25"]
    # The same number, as in the files; -1e0 is the same in a column of numbers.
    read = rows.from_instances('{"instances": [[-1e0, "3", "male", "-1.0", -1.0, 7.25]]}', known, MOST)
    assert read == rows.from_csv("-1e0,3,male,-1.0,-1.0,7.25", known, MOST) == [",3,male,,,7.25"]


def test_a_row_of_one_missing_value_is_no_empty_line(known: rows.Signature) -> None:
    one = replace(known, features=["port"], columns=[("categorical", True)])
    assert rows.from_instances('{"instances": [{}, ["x"], [null]]}', one, MOST) == ['""', "x", '""']
    assert rows.from_csv('x\n\n""\ny', one, MOST) == ["x", '""', '""', "y"]


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ("3.0", "3"),
        (3, "3"),
        (-0.5, "-0.5"),
        (123456789012345, "123456789012345"),
        ("  New \u00a0 York ", "New York"),
        ('5" pipe', '"5"" pipe"'),
        ("a,b", '"a,b"'),
        ("“Ä\x92”", "“Ä\x92”"),
        ("x" * 1000, "x" * 1000),
        ("true", "true"),
    ],
)
def test_a_category_is_written_as_a_level(known: rows.Signature, given: Any, level: str) -> None:
    body = json.dumps({"instances": [{"class": given, "sex": "f", "fare": 1}]})
    assert rows.from_instances(body, known, MOST) == [f",{level},f,,,1.0"]


@pytest.mark.parametrize(
    ("column", "value", "detail"),
    [
        *(("class", nothing, "has no value") for nothing in (None, "", "?", -1, "-1")),
        *(
            ("class", wrong, TEXT)
            for wrong in (True, False, [], {}, "x" * 1001, "a\tb", "a\x00", "a\x7f", "\ud800", 1e15)
        ),
        *(("age", wrong, NUMBER) for wrong in ("22", "x", True, [], {}, 1e31, -1e999, float("nan"), float("inf"))),
        ("fare", None, "has no value"),
        *(("alone", wrong, "must be true or false") for wrong in ("maybe", 2, -1.5, [], {}, "tru\x00e")),
    ],
)
def test_a_fault_names_the_column(known: rows.Signature, column: str, value: Any, detail: str) -> None:
    named = dict(zip(known.features, GOOD, strict=True)) | {column: value}
    expected = [{"row": 2, "column": column, "detail": detail}]
    for row in (named, list(named.values())):
        assert faults(rows.from_instances, json.dumps({"instances": [GOOD, row]}), known) == expected


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x,3,male,Cork,true,7.25", {"column": "age", "detail": NUMBER}),
        ("1_0,3,male,Cork,true,7.25", {"column": "age", "detail": NUMBER}),
        ("22,3,male,Cork,true,", {"column": "fare", "detail": "has no value"}),
        ("22,?,male,Cork,true,7.25", {"column": "class", "detail": "has no value"}),
        ("22,3,male,Cork,perhaps,7.25", {"column": "alone", "detail": "must be true or false"}),
        ("22,3,male,Cork, Ireland,true,7.25", {"detail": "has 7 value(s); the model takes 6"}),
        ("", {"detail": "has 1 value(s); the model takes 6"}),
        (
            '22,3,"male,Cork,true,7.25',
            {"detail": 'is not CSV: quote a value as a whole, within one line, and write a quote in it as ""'},
        ),
        (
            '22,3,"ma"le,Cork,true,7.25',
            {"detail": 'is not CSV: quote a value as a whole, within one line, and write a quote in it as ""'},
        ),
    ],
)
def test_a_line_that_is_no_row_is_refused(known: rows.Signature, line: str, fault: dict[str, str]) -> None:
    good = "22,3,male,Cork,true,7.25"
    assert faults(rows.from_csv, f"{good}\n{line}\n{good}", known) == [{"row": 2, **fault}]
    assert faults(rows.from_data, json.dumps({"data": line}), known) == [{"row": 1, **fault}]


def test_a_line_break_within_quotes_is_refused(known: rows.Signature) -> None:
    text = '22,3,male,"Cork\nIreland",true,7.25'
    assert [fault["row"] for fault in faults(rows.from_csv, text, known)] == [1, 2]
    assert faults(rows.from_data, json.dumps({"data": text}), known) == [{"row": 1, "column": "port", "detail": TEXT}]


def test_what_an_object_lacks_or_has_too_much_is_named(known: rows.Signature) -> None:
    assert faults(rows.from_instances, '{"instances": [{"sex": "f", "x": 1, "fare": null}, 5]}', known) == [
        {"row": 1, "column": "class", "detail": "is missing"},
        {"row": 1, "detail": "has 1 name(s) that the model does not know"},
        {"row": 1, "column": "fare", "detail": "has no value"},
        {"row": 2, "detail": "must be an array of 6 values, or an object of values by column name"},
    ]


PARTS = [*"0019.+-eE tfyn\t\n\u00a0\u2003é", ".0", ".00", "yes", "No", "TRUE", "off", "on", "\u0661", "İ"]


def test_levels_and_booleans_are_the_encoders() -> None:
    chance = random.Random(18)
    texts = ["".join(chance.choices(PARTS, k=chance.randrange(6))) for _ in range(20_000)]
    texts += [word + more for word in encoder.TRUE | encoder.FALSE for more in ("", ".0", " ", ".")]
    assert [rows.level_of(text) for text in texts] == [encoder.level_of(text) for text in texts]
    assert [rows.boolean_of(text) for text in texts] == [encoder.boolean_of(text) for text in texts]
    assert {rows.boolean_of(text) for text in texts} == {None, True, False}


QUOTES = [
    "{“data”: “1”}",
    '{“data”: "1"}',
    '{"data”: "1"}',
    "{\u2018data\u2019: \u20181\u2019}",
    '{"data": "1”}',
    "{ „data“:«1»}",
]


@pytest.mark.parametrize("body", QUOTES)
def test_typographic_quotes_get_a_hint(call: Any, body: str) -> None:
    answer = call("POST", "/predictbreastcancer", body)
    assert (answer["type"], answer["detail"]) == (
        "urn:problem-type:bad-json",
        'the body has typographic quotes: use "',
    )


def test_quotes_within_a_text_get_none(call: Any) -> None:
    answer = call("POST", "/predictbreastcancer", '{"data": "it\u2019s “1”",}')
    assert answer["detail"] == "Send one JSON object, UTF-8, without duplicate names"
