"""The hold-out in the columns of a champion that was trained by other settings."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.preprocess.merge import merge
from pipeline.jobs.shared.settings import read_settings
from pipeline.jobs.shared.signature import FeatureSignature, Signature, signature_of
from tests.pipeline.jobs.conftest import write_settings

SPLIT = {"train": 0.5, "validation": 0.2, "holdout": 0.3, "salt": "1"}
NOW: dict[str, Any] = {
    "id_columns": [],
    "ignored_columns": ["name", "colour", "member"],
    "features": ["age", "visits"],
    "split": SPLIT,
}
COLOURS = ("red", "dark  blue", '"green, light"', "3.0", "?")


def rows(count: int = 60) -> list[str]:
    """Lines of a CSV: a name, numbers, a colour that may be missing, yes and no, and the label."""
    lines = ["name,age,visits,colour,member,bought"]
    for n in range(count):
        colour, member = COLOURS[n % 5], ("Yes", "no", "1", "FALSE")[n % 4]
        lines.append(f"c{n},{20 + n}.50,{n * n},{colour},{member},{'yes' if n % 3 else 'no'}")
    return lines


def run(root: Path, champion: Any, texts: dict[str, list[str]] | None = None, memory: float = 512, **data: Any) -> Path:
    """Preprocesses files with the champion's signature, a change of today's, a document, or none; the output."""
    for name, lines in ({"a.csv": rows()} if texts is None else texts).items():
        (root / "raw").mkdir(exist_ok=True)
        (root / "raw" / name).write_text("\n".join(lines))
    settings = write_settings(root, memory, **{**NOW, **data})
    listing = root / "listing"
    listing.mkdir(exist_ok=True)
    names = sorted(texts or {"a.csv": 0})
    objects = [{"key": f"raw/{name}", "modified": f"2026-01-{day:02}"} for day, name in enumerate(names, 1)]
    (listing / "listing.json").write_text(json.dumps(objects))
    if champion is not None:
        if isinstance(champion, dict):
            champion = dataclasses.replace(signature_of(read_settings(settings)), **champion).to_json()
        (listing / "champion.json").write_text(champion)
    out = root / "out"
    preprocess(settings, root / "raw", out, None, listing)
    return out


def features(**kinds: str) -> tuple[FeatureSignature, ...]:
    """Features by name with their kinds; after a "+" a value may be missing."""
    return tuple(FeatureSignature(name, kind.strip("+"), kind.endswith("+")) for name, kind in kinds.items())


def said(out: Path) -> Any:
    """champion.json, then scoring.json if it is there."""
    scoring = out / "champion/scoring.json"
    return json.loads((out / "champion/champion.json").read_text()), scoring.exists() and json.loads(
        scoring.read_text()
    )


def scored(out: Path) -> list[list[str]]:
    """The rows that the champion scores."""
    files = sorted((out / "champion/holdout").iterdir())
    return [row for file in files for row in csv.reader(io.StringIO(file.read_text()))]


def held_out(out: Path, count: int = 60) -> list[int]:
    """The numbers of the rows in the hold-out, in order, by the age that it has."""
    text = "".join(file.read_text() for file in sorted((out / "holdout").iterdir()))
    return [round(json.loads(line)["features"][0] - 20.5) for line in text.splitlines()]


OTHER = ({"comparable": True, "reason": "", "classes": ["no", "yes"]}, "champion/holdout", "text/csv")


def comparable(out: Path) -> tuple[Any, ...]:
    verdict, scoring = said(out)
    return verdict, scoring["holdout"], scoring["content_type"]


def test_without_a_champion_all_is_written_as_for_one_of_the_settings_own_signature(tmp_path):
    written = []
    for name, champion in (("without", None), ("with", {})):
        (tmp_path / name).mkdir()
        out = run(tmp_path / name, champion)
        files = [path for path in sorted(out.rglob("*")) if path.is_file()]
        written.append({str(path.relative_to(out)): path.read_bytes() for path in files})
    assert {"champion/champion.json", "champion/scoring.json"} <= written[0].keys()
    assert written[0] == written[1]


@pytest.mark.parametrize("classes", [("no", "yes"), ("yes", "no")])
def test_a_champion_that_reads_the_same_rows_scores_the_hold_out_itself(tmp_path, classes):
    out = run(tmp_path, {"classes": classes, "positive_class": classes[1]})
    verdict = {"comparable": True, "reason": "", "classes": list(classes)}
    assert said(out) == (verdict, {"holdout": "holdout", "content_type": "application/jsonlines"})
    assert [path.name for path in (out / "champion").glob("holdout*")] == []


@pytest.mark.parametrize("memory", [512, 0.004], ids=["in memory", "on disk"])
def test_a_champion_gets_the_same_rows_in_its_own_columns_and_kinds(tmp_path, memory):
    kinds = {"visits": "numeric", "colour": "categorical", "member": "boolean", "age": "numeric"}
    out = run(tmp_path, {"features": features(**kinds)}, memory=memory)
    assert comparable(out) == OTHER
    colours = ["red", "dark blue", "green, light", "3", "?"]
    numbers = held_out(out)
    assert scored(out) == [[str(n * n), colours[n % 5], ("true", "false")[n % 2], f"{20 + n}.5"] for n in numbers]
    assert len(numbers) > 10


def test_a_features_missing_texts_are_the_champions_own(tmp_path):
    numbered = [line.replace(",red,", ",7,").replace(",dark  blue,", ",-1,") for line in rows()]
    numbered = [line.replace(',"green, light",', ",NA,") for line in numbered]
    champion = {"features": features(colour="numeric+", age="numeric"), "missing_texts": ("", "NA", "?")}
    out = run(tmp_path, champion, {"a.csv": numbered}, missing={"texts": ["-"], "impute": []})
    assert comparable(out) == OTHER
    values = ["7", "-1", "", "3", ""]
    assert scored(out) == [[values[n % 5], f"{20 + n}.5"] for n in held_out(out)]


def test_equal_rows_and_their_copies_stand_at_the_same_places(tmp_path):
    some = rows(20)
    texts = {"a.csv": some + some[1:6] * 7, "b.csv": [some[0], *some[3:9] * 3]}
    out = run(tmp_path, {"features": features(member="boolean", age="numeric")}, texts)
    numbers = held_out(out)
    assert len(numbers) > len(set(numbers))
    assert scored(out) == [[("true", "false")[n % 2], f"{20 + n}.5"] for n in numbers]


def test_of_corrected_rows_the_champion_gets_the_version_that_counts(tmp_path):
    """The newest with all values that today's model needs: of c3 it is the older one, as the newer lacks a number."""
    newer = [rows()[0], *(line.replace("c", "c", 1).replace(",red,", ",blue,") for line in rows()[1:])]
    newer = [line.replace(",9,", ",,") if line.startswith("c3,") else line for line in newer]
    data = {"id_columns": ["name"], "ignored_columns": ["colour", "member"], "bad_rows": {"count": 5, "share": 0}}
    champion = {"features": features(colour="categorical", age="numeric")}
    split = {**SPLIT, "train": 0.1, "validation": 0.1, "holdout": 0.8}
    out = run(tmp_path, champion, {"a.csv": rows(), "b.csv": newer}, **data, split=split)
    assert comparable(out) == OTHER
    colours, numbers = ["blue", "dark blue", "green, light", "3", "?"], held_out(out)
    assert scored(out) == [[colours[n % 5], f"{20 + n}.5"] for n in numbers]
    assert 3 in numbers


def test_files_that_today_are_set_aside_give_the_champion_no_row(tmp_path):
    bad = [rows()[0], *(line.replace(".50,", "x,") for line in rows()[1:])]
    champion = {"features": features(visits="numeric", colour="categorical")}
    out = run(tmp_path, champion, {"a.csv": rows(), "b.csv": bad}, on_bad_file="quarantine")
    assert comparable(out) == OTHER
    assert [row[0] for row in scored(out)] == [str(n * n) for n in held_out(out)]


def test_a_parquet_file_is_read_by_the_champions_kinds(tmp_path):
    columns = {
        "age": [20.5 + n for n in range(60)],
        "visits": [n * n for n in range(60)],
        "code": [float(n % 3) for n in range(60)],
        "member": [n % 2 == 0 for n in range(60)],
        "bought": ["yes" if n % 3 else "no" for n in range(60)],
    }
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "raw/a.parquet")
    champion = {"features": features(code="categorical", visits="numeric", member="boolean")}
    out = run(tmp_path, champion, {}, ignored_columns=["code", "member"])
    assert comparable(out) == OTHER
    assert scored(out) == [[str(n % 3), str(n * n), ("true", "false")[n % 2]] for n in held_out(out)]


COLUMNS = "its columns cannot be read: "
NOT_COMPARABLE: dict[str, tuple[dict[str, Any], str]] = {
    "other type": ({"predictor_type": "regressor", "classes": ()}, "it is a regressor"),
    "other target": ({"target": "returned"}, 'it predicts "returned"'),
    "class added": ({"classes": ("no", "maybe")}, "its classes are no, maybe"),
    "column gone": (
        {"features": features(age="numeric", height="numeric")},
        COLUMNS + 'a.csv, row 1: missing column "height"',
    ),
    "other values": (
        {"features": features(age="numeric", name="numeric")},
        COLUMNS + 'a.csv: every value of "name" is text ("c0", "c1", ...), with 59 different values in 59 rows',
    ),
    "several columns of other values": (
        {"features": features(name="boolean", member="numeric")},
        COLUMNS
        + 'a.csv: every value of "name" is neither true nor false ("c0", "c1", ...), with 59 different values in 59 rows',
    ),
    "target as feature": (
        {"features": features(age="numeric", bought="categorical")},
        'its feature "bought" is the target now',
    ),
}


@pytest.mark.parametrize(("champion", "reason"), NOT_COMPARABLE.values(), ids=NOT_COMPARABLE)
def test_a_champion_that_answers_otherwise_or_lacks_a_column_is_not_comparable(tmp_path, champion, reason):
    out = run(tmp_path, champion)
    classes = list(champion.get("classes", ("no", "yes")))
    assert said(out) == ({"comparable": False, "reason": reason, "classes": classes}, False)
    assert [path.name for path in (out / "champion").iterdir()] == ["champion.json"]


def test_rows_that_the_champion_cannot_read_make_it_not_comparable(tmp_path):
    gaps = [line.replace(",?,", ",,") for line in rows()]
    out = run(tmp_path, {"features": features(age="numeric", colour="categorical")}, {"a.csv": gaps})
    numbers = held_out(out)
    lacking = sum(n % 5 == 4 for n in numbers)
    reason = f"{lacking} of {len(numbers)} rows of the hold-out are not as it needs them"
    example = 'such as a.csv, row 6, column "colour": empty, a value is wanted'
    assert said(out)[0] == {"comparable": False, "reason": f"{reason}, {example}", "classes": ["no", "yes"]}


@pytest.mark.parametrize("text", ["{}", '{"signature": null}', "not JSON"])
def test_a_champion_of_unknown_signature_is_not_comparable(tmp_path, text):
    verdict = {"comparable": False, "reason": "its signature is not known", "classes": []}
    assert said(run(tmp_path, text)) == (verdict, False)


def shared_out(root: Path, champion: Signature, texts: dict[str, list[str]], **data: Any) -> Path:
    """The same by two instances that have every second file each, and the merge; the merged run."""
    run_, settings = root / "run", write_settings(root, **{**NOW, **data})
    listing = root / "listing"
    listing.mkdir()
    names = sorted(texts)
    objects = [{"key": f"raw/{name}", "modified": f"2026-01-{day:02}"} for day, name in enumerate(names, 1)]
    (listing / "listing.json").write_text(json.dumps(objects))
    (listing / "champion.json").write_text(champion.to_json())
    for number in (0, 1):
        host = f"algo-{number + 1}"
        (root / host).mkdir()
        (root / f"{host}.json").write_text(json.dumps({"current_host": host}))
        for name in names[number::2]:
            (root / host / name).write_text("\n".join(texts[name]))
        preprocess(settings, root / host, run_, root / f"{host}.json", listing)
    merge(settings, run_, root / "merged", listing)
    for file in (path for path in (root / "merged").rglob("*") if path.is_file()):
        target = run_ / file.relative_to(root / "merged")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return run_


def test_several_instances_write_the_champions_rows_beside_the_others(tmp_path, settings):
    texts = {"a.csv": rows(40), "b.csv": [rows()[0], *rows()[21:]]}
    champion = dataclasses.replace(signature_of(settings), features=features(colour="categorical", age="numeric"))
    out = shared_out(tmp_path, champion, texts)
    assert comparable(out) == OTHER
    colours = ["red", "dark blue", "green, light", "3", "?"]
    numbers = held_out(out)
    assert len(numbers) == len(set(numbers)) > 10
    assert scored(out) == [[colours[n % 5], f"{20 + n}.5"] for n in numbers]


def test_if_an_instance_cannot_read_the_champions_columns_it_is_not_comparable(tmp_path, settings):
    texts = {"a.csv": rows(40), "b.csv": [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in rows()]}
    champion = dataclasses.replace(signature_of(settings), features=features(member="boolean", colour="categorical"))
    texts["a.csv"] = [line.replace('"green, light"', "green") for line in texts["a.csv"]]
    texts["b.csv"] = [
        rows()[0].replace("colour,", ""),
        *(",".join([f"d{n}", f"{n}.5", "1", "no", "yes"]) for n in range(9)),
    ]
    out = shared_out(tmp_path, champion, texts)
    reason = 'its columns cannot be read: b.csv, row 1: missing column "colour"'
    assert said(out) == ({"comparable": False, "reason": reason, "classes": ["no", "yes"]}, False)
