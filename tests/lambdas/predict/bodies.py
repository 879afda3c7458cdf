"""A corpus of bad bodies: a name, the body, and the problem with which the API must answer.

MARK replaces a value in each body, so that tests can search logs for it. bad_bodies.json has the templates:
`cells` are texts that a parser could take for a number, the others are JSON texts in which %s is a good row.
"""

import json
from collections.abc import Iterator
from pathlib import Path

MARK = "98765.4321"
GOOD = ["1.5"] * 29 + [MARK]
ROW = ",".join(GOOD)
JSON, CSV = "application/json", "text/csv"
MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points"]
KINDS = ("mean", "se", "worst")
NAMES = [f"{measure}_{kind}" for kind in KINDS for measure in [*MEASURES, "symmetry", "fractal_dimension"]]
NAMED = dict.fromkeys(NAMES, float(MARK))
TEMPLATES: dict[str, list[str]] = json.loads(Path(__file__).with_name("bad_bodies.json").read_text("utf-8"))
DEEP = ["[" * 100_000, '{"data":' * 20_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000]

Case = tuple[str, str, str | None, str | None, str]
"""(name, "one" or "many" for the path, body, content type, problem)"""


def cases() -> Iterator[Case]:
    for cell in [*TEMPLATES["cells"], "9" * 400, "9" * 5000 + "x"]:
        line = ",".join([cell, *GOOD[1:]])
        # A comma makes it a row of another length; json.dumps escapes a backslash, a quote or a control character.
        yield f"a cell {cell[:20]!r} in data", "one", json.dumps({"data": line}), JSON, "bad-rows"
        unescaped = json.dumps({"data": line}, ensure_ascii=False)
        yield f"a cell {cell[:20]!r} in data, not escaped", "one", unescaped, JSON, "bad-rows"
        yield f"a cell {cell[:20]!r} in CSV", "many", ",".join([GOOD[0], cell, *GOOD[2:]]), CSV, "bad-rows"
    for value in [*TEMPLATES["json_numbers"], "9" * 400, "1" + "0" * 5000]:
        body = f'{{"instances": [[{value}, {ROW[4:]}]]}}'
        yield f"{value[:20]} in instances", "many", body, JSON, "bad-rows"
        named = ", ".join(f'"{name}": 1' for name in NAMES[1:])
        body = f'{{"instances": [{{"{NAMES[0]}": {value}, {named}}}]}}'
        yield f"{value[:20]} by name", "many", body, JSON, "bad-rows"
    for template, path, problem in [
        *((text, "one", "bad-json") for text in [*TEMPLATES["not_json"], *DEEP]),
        *((text, "one", "bad-body") for text in TEMPLATES["not_data"]),
        *((text, "many", "bad-body") for text in TEMPLATES["not_instances"]),
        *((f'{{"instances": {text}}}', "many", "bad-rows") for text in TEMPLATES["not_rows"]),
    ]:
        yield f"{template[:40]!r}", path, template.replace("%s", ROW), JSON, problem
    yield "no body", "one", None, JSON, "bad-json"
    semicolons, tabs = ROW.replace(",", ";"), ROW.replace(",", "\t")
    for data in (",".join(GOOD[1:]), f"1,{ROW}", f"{ROW}\n{ROW}", f"{ROW},", semicolons, tabs):
        yield f"data {data[:12]!r}", "one", json.dumps({"data": data}), JSON, "bad-rows"
    for text in ("", "\n", "\r\n", "\ufeff"):
        yield f"CSV {text!r}", "many", text, CSV, "bad-body"
    header = ",".join(NAMES) + "\n" + ROW
    for text in (header, f"{ROW}\n\n{ROW}", f"{ROW}\r{ROW}", f'"{ROW}"', f"# c\n{ROW}", f"{ROW}\n1.5"):
        yield f"CSV {text[:12]!r}", "many", text, CSV, "bad-rows"
    capitals = {name.upper(): value for name, value in NAMED.items()}
    for instance in (NAMED | {"x": 1}, capitals):
        yield f"{len(instance)} names", "many", json.dumps({"instances": [instance]}), JSON, "bad-rows"
    twice = f'{{"instances": [{json.dumps(NAMED)[:-1]}, "{NAMES[0]}": 2}}]}}'
    yield "a name twice", "many", twice, JSON, "bad-json"
    yield "1001 rows", "many", "\n".join(["1"] * 1001), CSV, "too-large"
    yield "1001 instances", "many", json.dumps({"instances": [[]] * 1001}), JSON, "too-large"
    yield "a byte too many", "one", json.dumps({"data": ROW}).ljust(1_000_001), JSON, "too-large"
    yield "a megabyte of digits", "one", json.dumps({"data": "9" * 2_000_000}), JSON, "too-large"
    for kind in TEMPLATES["media_types"]:
        yield f"as {kind}", "one", json.dumps({"data": ROW}), kind, "unsupported-media-type"
