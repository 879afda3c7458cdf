"""Bad bodies, picked by hand: what each is, the body, and the status and problem that it must be answered with.

MARK stands in each body where a value stands, so that a test can look for it in the log.
"""

# ruff: noqa: RUF001  (signs that look like digits are what is tested)

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MARK = "98765.4321"
N = 30
GOOD = ["1.5"] * (N - 1) + [MARK]
FEATURE = "radius_mean"

Case = tuple[str, str, str | None, str | None, str]
"""(what, path key, body, content type, problem)"""
JSON, CSV = "application/json", "text/csv"

# What Python, or a spreadsheet, or a careless parser would take for a number.
NOT_NUMBERS = [
    "", " ", "abc", "NaN", "nan", "-nan", "Infinity", "-Infinity", "inf", "+inf", "1e999", "-1e999", "1e400",
    "1e31", "-1e31", "1_000", "1__0", "１２", "１.５", "٣", "१२", "²", "½", "Ⅷ", "1,5 ", "1;5", "1 5", "0x1F", "0b11",
    "0o17", "1e", "e5", "1e+", ".", "-", "+", "--1", "+1", "1-", "1.2.3", "1..2", "1.5f", "1.5L", "1j", "1/2",
    "50%", "$5", "€5", "1'000", "−5", "–5", "1\u00a05", "\u00a05", "5\u200b", "\u202e5", "5\x00", "\x005",
    "5\x1b[0m", "true", "false", "True", "null", "None", "undefined", "#N/A", "#REF!", "N/A", "na", "-", "?",
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1+1", "'5", '"5"', '"5', "`5`", "{5}", "[5]",
    "(5)", "<5>", "5\\", "\\5", "%35", "&#53;", "${5}", "{{5}}", "5;DROP", "' OR 1=1 --", "<script>5</script>",
    "../../etc/passwd", "😀", "e\u0301", "\ufeff5", "5\u2028", "1e5e5", "1.e.5", "0.1.e2", "9" * 400, "1" + "0" * 31,
    "9" * 5000 + "x",
]  # fmt: skip

# Values in JSON that are not a number of the model, as JSON text.
NOT_JSON_NUMBERS = [
    "true", "false", "null", '""', '"1.5"', '"abc"', '"１２"', '"1_000"', '"NaN"', '"1e5"', "[]", "[1.5]", "{}",
    '{"a": 1}', "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e31", "-1e31", "9" * 400, "1" + "0" * 5000,
    '"=1+1"', '"\\u0000"', '"\\ud800"', '"😀"', "[[[[]]]]", '"1.5 "', "1e308",
]  # fmt: skip

# Not JSON at all, or JSON with two meanings; %s is a good row.
NOT_JSON = [
    "", " ", "\n", "{", "}", "[", "nul", "tru", "'data'", '{"%s"', "{'data': '%s'}", '{data: "%s"}',
    '{"data": "%s",}', '{"data": "%s"}}', '{"data": "%s"} x', '{"data": "%s"}{"data": "%s"}',
    '{"data": "%s"}\n{"data": "%s"}', '{"data": "%s", "data": "%s"}', '{"data": "1", "data": "%s"}',
    '{"data": "%s" /* c */}', '// c\n{"data": "%s"}', '\ufeff{"data": "%s"}', '{"data": "%s\n"}',
    '{"data": "%s\t"}', '{"data": "%s\x00"}', '{"data": "\\x41%s"}', '{"data": "\\u12%s"}',
    '{"data": .5, "x": "%s"}', '{"data": 01}', '{"data": +1}', '{"data": 1.}', '{"data": 0x1F}', '{"data": 1_000}',
    '{"data": １２}', "data=%s", "<data>%s</data>", "data: '%s'\n", "%s", '"data": "%s"', "\x00" * 8,
    "\x1f\x8b\x08\x00\x00", "\ufffd\ufffd", "[" * 100_000, '{"data":' * 20_000, "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
]  # fmt: skip

# JSON of another shape.
NOT_DATA = [
    "{}", "[]", "null", "true", "1", '"%s"', '["%s"]', '[{"data": "%s"}]', '{"Data": "%s"}', '{"DATA": "%s"}',
    '{"data ": "%s"}', '{"data": "%s", "x": 1}', '{"data": "%s", "": 1}', '{"data": "%s", "__proto__": {}}',
    '{"instances": [["%s"]]}', '{"data": null}', '{"data": true}', '{"data": 1.5}', '{"data": [%s]}',
    '{"data": ["%s"]}', '{"data": {"row": "%s"}}', '{"data": [[%s]]}', '{"body": {"data": "%s"}}',
    '{"golden": [{"row": [%s], "label": "B"}]}', '{"d\\u0430ta": "%s"}',
]  # fmt: skip
NOT_INSTANCES = [
    "{}", "[]", "null", "[[%s]]", '{"Instances": [[%s]]}', '{"instance": [[%s]]}', '{"instances": null}',
    '{"instances": {}}', '{"instances": "%s"}', '{"instances": 1}', '{"instances": []}',
    '{"instances": [[%s]], "x": 1}', '{"data": "%s"}', '{"instances": {"0": [%s]}}', '{"inputs": [[%s]]}',
    '{"instances": [[%s]], "parameters": {}}',
]  # fmt: skip
NOT_ROWS = [
    "[%s]", "[[]]", "[{}]", "[null]", "[1.5]", '["%s"]', "[[%s], []]", "[[%s], [%s, 1]]", "[[%s, 1]]", "[[[%s]]]",
    "[true]", '[{"radius_mean": 1.5}]', '[{"features": [%s]}]', '[{"data": {"features": {"values": [%s]}}}]',
    '[[%s], "x"]', "[[1.5]]",
]  # fmt: skip


def cases() -> Iterator[Case]:
    row = ",".join(GOOD)
    for value in NOT_NUMBERS:
        line = ",".join([value, *GOOD[1:]])
        # A comma makes it a row of another length; a backslash, quote or control sign is escaped by json.dumps.
        yield f"a cell {value[:20]!r} in data", "one", json.dumps({"data": line}), JSON, "bad-rows"
        yield (
            f"a cell {value[:20]!r} in data, not escaped",
            "one",
            json.dumps({"data": line}, ensure_ascii=False),
            JSON,
            "bad-rows",
        )
        yield f"a cell {value[:20]!r} in CSV", "many", ",".join([GOOD[0], value, *GOOD[2:]]), CSV, "bad-rows"
    for value in NOT_JSON_NUMBERS:
        body = f'{{"instances": [[{value}, {row[4:]}]]}}'
        yield f"{value[:20]} in instances", "many", body, JSON, "bad-rows"
        named = ", ".join(f'"{name}": 1' for name in names()[1:])
        yield f"{value[:20]} by name", "many", f'{{"instances": [{{"{FEATURE}": {value}, {named}}}]}}', JSON, "bad-rows"
    for template, problem, path in [
        *((text, "bad-json", "one") for text in NOT_JSON),
        *((text, "bad-body", "one") for text in NOT_DATA),
        *((text, "bad-body", "many") for text in NOT_INSTANCES),
        *((f'{{"instances": {text}}}', "bad-rows", "many") for text in NOT_ROWS),
    ]:
        yield f"{template[:40]!r}", path, template.replace("%s", row), JSON, problem
    yield "no body", "one", None, JSON, "bad-json"
    yield "29 numbers", "one", json.dumps({"data": ",".join(GOOD[1:])}), JSON, "bad-rows"
    yield "31 numbers", "one", json.dumps({"data": f"1,{row}"}), JSON, "bad-rows"
    yield "two rows", "one", json.dumps({"data": f"{row}\n{row}"}), JSON, "bad-rows"
    yield "a comma at the end", "one", json.dumps({"data": f"{row},"}), JSON, "bad-rows"
    yield "semicolons", "one", json.dumps({"data": row.replace(",", ";")}), JSON, "bad-rows"
    yield "tabs", "one", json.dumps({"data": row.replace(",", "\t")}), JSON, "bad-rows"
    for text in ("", "\n", "\r\n", "\ufeff"):
        yield f"CSV {text!r}", "many", text, CSV, "bad-body"
    for text in (
        ",".join(names()) + "\n" + row,
        f"{row}\n\n{row}",
        f"{row}\r{row}",
        f'"{row}"',
        f"# c\n{row}",
        f"{row}\n1.5",
    ):
        yield f"CSV {text[:12]!r}", "many", text, CSV, "bad-rows"
    yield "an unknown name", "many", json.dumps({"instances": [named_row() | {"x": 1}]}), JSON, "bad-rows"
    yield (
        "a name in capitals",
        "many",
        json.dumps({"instances": [{k.upper(): v for k, v in named_row().items()}]}),
        JSON,
        "bad-rows",
    )
    yield (
        "a name twice",
        "many",
        f'{{"instances": [{json.dumps(named_row())[:-1]}, "{FEATURE}": 2}}]}}',
        JSON,
        "bad-json",
    )
    yield "1001 rows", "many", "\n".join(["1"] * 1001), CSV, "too-large"
    yield "1001 instances", "many", json.dumps({"instances": [[]] * 1001}), JSON, "too-large"
    yield "a byte too many", "one", json.dumps({"data": row}).ljust(1_000_001), JSON, "too-large"
    yield "a megabyte of digits", "one", json.dumps({"data": "9" * 2_000_000}), JSON, "too-large"
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; b=x",
                 "application/octet-stream", "application/gzip", "*/*", "json", "application/json; charset=utf-16",
                 "application/json; charset=latin-1", "application/jsonlines", "text/csv", ","):  # fmt: skip
        yield f"as {kind}", "one", json.dumps({"data": row}), kind, "unsupported-media-type"


def names() -> list[str]:
    measures = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points"]
    return [
        f"{name}_{kind}" for kind in ("mean", "se", "worst") for name in [*measures, "symmetry", "fractal_dimension"]
    ]


def named_row() -> dict[str, Any]:
    return dict.fromkeys(names(), 98765.4321)
