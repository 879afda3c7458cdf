"""Every bad body is refused with its documented problem, fast, and leaves nothing of itself in log or answer."""

import base64
import gzip
import json
from typing import Any

import pytest

from tests.lambdas.predict.bodies import GOOD, MARK, NAMES, cases

PATHS = {"one": "/predictbreastcancer", "many": "/predictions"}
STATUS = {"bad-json": 400, "bad-body": 400, "bad-rows": 400, "too-large": 413, "unsupported-media-type": 415}


def test_every_body_of_the_corpus_is_refused_as_documented(
    call: Any, sagemaker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = list(cases())
    assert len({(path, body, kind) for _, path, body, kind, _ in corpus}) >= 200
    wrong: list[tuple[str, object]] = []
    for what, path, body, content_type, kind in corpus:
        answer = call("POST", PATHS[path], body, content_type)
        refused = (answer["type"], call.status, call.headers["Content-Type"])
        if refused != (f"urn:problem-type:{kind}", STATUS[kind], "application/problem+json"):
            wrong.append((what, refused))
        if MARK in json.dumps(answer):
            wrong.append((what, "the answer quotes the row"))
    log = capsys.readouterr().out
    assert wrong == []
    assert sagemaker.rows == []
    assert MARK not in log
    assert {tuple(json.loads(line)) for line in log.splitlines()} == {
        ("request_id", "method", "resource", "status", "latency_ms", "problem")
    }


@pytest.mark.drill("input", "a gzip bomb as a prediction's body", "415; it is not unpacked")
def test_a_gzip_bomb_is_not_unpacked(call: Any) -> None:
    bomb = base64.b64encode(gzip.compress(b" " * 100_000_000)).decode()
    for headers in ({"content-encoding": "gzip"}, {"Content-Encoding": "GZIP, identity"}):
        answer = call("POST", PATHS["one"], bomb, headers=headers, isBase64Encoded=True)
        assert answer["type"] == "urn:problem-type:unsupported-media-type"
    call("POST", PATHS["one"], bomb, isBase64Encoded=True)
    assert call.status == 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp037"])
def test_bytes_that_are_not_utf_8_are_refused(call: Any, encoding: str) -> None:
    body = base64.b64encode(json.dumps({"data": "é"}, ensure_ascii=False).encode(encoding)).decode()
    assert call("POST", PATHS["one"], body, isBase64Encoded=True)["type"] == "urn:problem-type:bad-json"


def test_each_bad_row_and_column_is_named(call: Any) -> None:
    good = [1.5] * 30
    nan = "[" + ",".join(["NaN", *GOOD[1:]]) + "]"
    short, texts = json.dumps(good[:29]), json.dumps([*good[:28], "1.5", True])
    unnamed = json.dumps(dict.fromkeys(NAMES[2:], 1) | {"x": 1})
    rows = ", ".join([json.dumps(good), nan, short, texts, unnamed, "5"])
    answer = call("POST", PATHS["many"], f'{{"instances": [{rows}]}}')
    number = "must be a number from -1e+30 to 1e+30"
    assert answer["errors"] == [
        {"row": 2, "column": "radius_mean", "detail": number},
        {"row": 3, "detail": "has 29 value(s); the model takes 30"},
        {"row": 4, "column": "symmetry_worst", "detail": number},
        {"row": 4, "column": "fractal_dimension_worst", "detail": number},
        {"row": 5, "column": "radius_mean", "detail": "is missing"},
        {"row": 5, "column": "texture_mean", "detail": "is missing"},
        {"row": 5, "detail": "has 1 name(s) that the model does not know"},
        {"row": 6, "detail": "must be an array of 30 numbers, or an object of numbers by column name"},
    ]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", [0, 1, 29])
def test_what_is_no_json_number_is_refused_wherever_it_stands(call: Any, sagemaker: Any, word: str, place: int) -> None:
    cells = ["1.5"] * 30
    cells[place] = word
    body = f'{{"instances": [[{",".join(cells)}]]}}'
    answer = call("POST", PATHS["many"], body, "application/json")
    assert [(error["row"], error["column"]) for error in answer["errors"]] == [(1, NAMES[place])]
    assert sagemaker.rows == []


def test_at_most_twenty_faults_are_listed(call: Any) -> None:
    errors = call.post(PATHS["many"], {"instances": [[True] * 30] * 1000})["errors"]
    assert [(error["row"], error["column"]) for error in errors] == [(1, name) for name in NAMES[:20]]
