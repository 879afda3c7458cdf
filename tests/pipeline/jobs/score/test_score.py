"""Files to score: from the file to the rows that the model reads, and from its answers to the scored file."""

import gzip
import json
import random
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lambdas.predict import explanation as api
from lambdas.predict import rows as api_rows
from pipeline.jobs.score.join import join
from pipeline.jobs.score.prepare import prepare
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.settings import read_settings
from pipeline.jobs.shared.signature import FeatureSignature, signature_of
from tests.pipeline.jobs.conftest import write_settings

WRONG = tomllib.loads(Path(__file__).with_name("wrong_files.toml").read_text("utf-8"))
LINES = ["customer,visits,age", "c1,1.5,40", '"c,2",-2,20', "c3,0,30"]
HEADER = "row,customer,label,score,model_version"
Answer = Callable[[str], dict[str, Any]]


class Scoring:
    """Both jobs of a scoring in a folder, with answers by a function of the raw row in between."""

    def __init__(self, root: Path, **data: Any) -> None:
        self.root, self.settings = root, write_settings(root, **data)
        self.signature = signature_of(read_settings(self.settings))

    def prepare(self, files: dict[str, bytes], contributions: int = 0, **scored: str) -> Path:
        raw, request = self.root / "input", self.root / "request"
        request.mkdir(exist_ok=True)
        for name, content in files.items():
            (raw / name).parent.mkdir(parents=True, exist_ok=True)
            (raw / name).write_bytes(content)
        document = {"files": {name: name for name in files} | scored, "version": 7, "contributions": contributions}
        (request / "request.json").write_text(json.dumps(document))
        (request / "signature.json").write_text(self.signature.to_json())
        prepare(self.settings, raw, request, self.root / "prepared")
        return self.root / "prepared"

    def join(self, answer: Answer, explanation: dict[str, Any] | None = None) -> Path:
        answers, prepared = self.root / "answers", self.root / "prepared"
        answers.mkdir(exist_ok=True)
        for shard in (prepared / "batch").iterdir():
            lines = [json.dumps(answer(row)) for row in shard.read_text().splitlines()]
            (answers / f"{shard.name}.out").write_text("\n".join([*lines, ""]))
        explained: dict[str, Path] = {}
        if explanation is not None:
            (self.root / "explanation").mkdir(exist_ok=True)
            (self.root / "explanation/explanation.json").write_text(json.dumps(explanation))
            explained = {"batch": prepared / "batch", "explanation": self.root / "explanation"}
        join(self.settings, self.root / "request", prepared / "ids", answers, self.root / "output", **explained)
        return self.root / "output"


def by_age(row: str) -> dict[str, Any]:
    age = float(row.partition(",")[0])
    return {"score": age / 100, "predicted_label": int(age > 25)}


def text(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


@pytest.fixture
def scoring(tmp_path: Path) -> Scoring:
    return Scoring(tmp_path)


def counts(output: Path) -> Any:
    return json.loads((output / "counts/counts.json").read_text())


def test_a_file_without_the_target_gets_a_row_per_row_in_its_order(scoring: Scoring) -> None:
    prepared = scoring.prepare({"a/b.csv": text(LINES)})
    assert (prepared / "batch/00000-00000.csv").read_text() == "40,1.5\n20,-2\n30,0\n"
    output = scoring.join(by_age)
    scored = [HEADER, "2,c1,yes,0.4,7", '3,"c,2",no,0.2,7', "4,c3,yes,0.3,7", ""]
    assert (output / "scored/a/b.csv").read_text().split("\n") == scored
    file = {"file": "a/b.csv", "rows": 3, "wrong": 0, "scored": "a/b.csv"}
    assert counts(output) == {"rows": 3, "wrong": 0, "files": [file]}
    assert not (prepared / "quarantine").exists()


def test_the_target_may_be_there_and_is_not_read(scoring: Scoring) -> None:
    lines = [f"{line},{label}" for line, label in zip(LINES, ("bought", "yes", "", "never heard of"), strict=True)]
    scoring.prepare({"b.csv": text(lines)})
    assert (scoring.join(by_age) / "scored/b.csv").read_text().splitlines()[1] == "2,c1,yes,0.4,7"


def test_a_wrong_row_within_the_budget_goes_to_the_quarantine_and_the_others_are_scored(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, bad_rows={"count": 1, "share": 0})
    prepared = scoring.prepare({"b.csv": text([*LINES, "c4,x,50", "c5,1,60"])})
    (wrong,) = map(json.loads, (prepared / "quarantine/quarantine.jsonl").read_text().splitlines())
    assert (wrong["row"], wrong["column"], wrong["text"]) == (5, "visits", "c4,x,50")
    output = scoring.join(by_age)
    assert [line.split(",")[0] for line in (output / "scored/b.csv").read_text().splitlines()] == [
        *("row", "2", "3", "4", "6")
    ]
    assert counts(output)["files"] == [{"file": "b.csv", "rows": 4, "wrong": 1, "scored": "b.csv"}]


@pytest.mark.parametrize("case", WRONG["case"], ids=[case["name"] for case in WRONG["case"]])
def test_a_wrong_file_is_refused_with_its_place_and_nothing_is_written(tmp_path: Path, case: dict[str, Any]) -> None:
    scoring = Scoring(tmp_path, **case.get("data", {}))
    with pytest.raises(JobError) as refused:
        scoring.prepare({case.get("file", "b.csv"): case["text"].encode()})
    assert str(refused.value) == case["message"]
    assert not (tmp_path / "prepared").exists()


def test_files_that_cannot_be_read_are_left_out_if_the_settings_say_so(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, on_bad_file="quarantine")
    late = [*LINES, *(f"c{number},1,1" for number in range(9)), "x,y,z"]
    prepared = scoring.prepare({"a.csv": b"junk\n", "b.csv": text(LINES), "c.csv": text(late)})
    assert [path.name for path in sorted((prepared / "batch").iterdir())] == ["00001-00000.csv"]
    found = counts(scoring.join(by_age))["files"]
    assert [(each["file"], each["rows"], "left_out" in each, each.get("scored")) for each in found] == [
        ("a.csv", 0, True, None),
        ("b.csv", 3, False, "b.csv"),
        ("c.csv", 0, True, None),
    ]


def test_a_file_of_which_no_row_is_scored_has_its_reason_under_scored_instead(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, on_bad_file="quarantine", bad_rows={"count": 1, "share": 0})
    scoring.prepare(
        {"a/b.csv": b"junk\n", "c.csv": text(LINES), "d.csv": text([LINES[0], "c1,x,40"])}, **{"a/b.csv": "x"}
    )
    output = scoring.join(by_age)
    reason = counts(output)["files"][0]["left_out"]
    others = {str(path.relative_to(output / "scored")): path for path in (output / "scored").rglob("*.*")}
    assert others.keys() == {"x.left-out", "c.csv", "d.csv.left-out"}
    assert [others[name].read_text() for name in ("x.left-out", "d.csv.left-out")] == [reason, "no row is valid"]


def test_parquet_is_answered_by_parquet_and_gzip_by_gzip(scoring: Scoring, tmp_path: Path) -> None:
    table = pa.table({"age": [40.0, 20.0], "visits": [1, 2], "customer": ["é", None]})
    pq.write_table(table, tmp_path / "b.parquet")
    scoring.prepare({"b.parquet": (tmp_path / "b.parquet").read_bytes(), "c.csv.gz": gzip.compress(text(LINES))})
    output = scoring.join(by_age)
    scored = pq.read_table(output / "scored/b.parquet")
    assert scored.to_pydict() == {
        "row": [1, 2],
        "customer": ["é", ""],
        "label": ["yes", "no"],
        "score": [0.4, 0.2],
        "model_version": [7, 7],
    }
    assert gzip.decompress((output / "scored/c.csv.gz").read_bytes()).decode().splitlines()[0] == HEADER


def test_the_request_names_the_scored_file_and_so_its_format(scoring: Scoring) -> None:
    scoring.prepare({"b.csv": text(LINES)}, **{"b.csv": "b.parquet"})
    assert pq.read_table(scoring.join(by_age) / "scored/b.parquet").num_rows == 3


def test_a_regressor_has_no_label_and_a_multiclass_model_a_score_per_class(tmp_path: Path) -> None:
    data: dict[str, Any] = {"positive_label": None, "negative_label": None, "id_columns": []}
    (tmp_path / "one").mkdir()
    scoring = Scoring(tmp_path / "one", predictor_type="regressor", **data)
    scoring.prepare({"b.csv": b"age,visits\n40,1\n"})
    scored = (scoring.join(lambda row: {"score": 1.5}) / "scored/b.csv").read_text()
    assert scored == "row,score,model_version\n2,1.5,7\n"
    (tmp_path / "many").mkdir()
    kinds = {"predictor_type": "multiclass_classifier", "labels": ["a", "b", "c"]}
    scoring = Scoring(tmp_path / "many", **data | kinds)
    scoring.prepare({"b.csv": b"age,visits\n40,1\n"})
    scored = (scoring.join(lambda row: {"score": [0.2, 0.7, 0.1], "predicted_label": 1}) / "scored/b.csv").read_text()
    assert scored == "row,label,score a,score b,score c,model_version\n2,b,0.2,0.7,0.1,7\n"


def test_the_columns_are_those_of_the_live_model_whatever_the_settings_are_now(scoring: Scoring) -> None:
    old = (
        FeatureSignature("visits", "numeric", imputed=False),
        FeatureSignature("colour", "categorical", imputed=True),
    )
    scoring.signature = replace(scoring.signature, features=old)
    lines = ["customer,age,colour,visits", 'c1,4,"a, b",1', "c2,x,,2"]
    prepared = scoring.prepare({"b.csv": text(lines)})
    assert (prepared / "batch/00000-00000.csv").read_text() == '1,"a, b"\n2,\n'


def test_many_rows_are_written_in_shards_and_joined_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.jobs.score.prepare.SHARD_ROWS", 100)
    scoring = Scoring(tmp_path)
    scoring.settings = write_settings(tmp_path, memory_mb=0.1)
    lines = ["customer,visits,age", *(f"c{number},0,{number % 90 + 1}" for number in range(2000))]
    prepared = scoring.prepare({"b.csv": text(lines)})
    assert len(list((prepared / "batch").iterdir())) > 5
    found = [line.split(",") for line in (scoring.join(by_age) / "scored/b.csv").read_text().splitlines()[1:]]
    assert [(row, who, score) for row, who, _, score, _ in found] == [
        (str(number + 2), f"c{number}", str((number % 90 + 1) / 100)) for number in range(2000)
    ]


def test_a_shard_with_another_number_of_answers_fails_and_leaves_no_file(scoring: Scoring) -> None:
    scoring.prepare({"b.csv": text(LINES)})
    (scoring.root / "answers").mkdir()
    (scoring.root / "answers/00000-00000.csv.out").write_text('{"score": 1.0, "predicted_label": 1}\n')
    with pytest.raises(JobError, match="00000-00000: 1 answers for 3 rows: score the file again"):
        join(
            scoring.settings,
            scoring.root / "request",
            scoring.root / "prepared/ids",
            scoring.root / "answers",
            scoring.root / "output",
        )
    assert not (scoring.root / "output").exists()


EXPLAINED: dict[str, Any] = {
    "scale": "log odds",
    "base": [0.5],
    "features": [
        {"name": "age", "kind": "numeric", "weight": [0.25], "missing": [3.0], "mean": [1.0]},
        {"name": "colour", "kind": "categorical", "levels": {"red": [2.0], "b, c": [-4.0]}, "other": [0.125], "missing": [-1.0], "mean": [0.25]},
        {"name": "member", "kind": "boolean", "weight": [-2.0], "missing": [0.0], "mean": [-0.5]},
    ],
}  # fmt: skip


def test_contributions_are_those_of_the_api(tmp_path: Path) -> None:
    features = {"features": ["age", "colour", "member"], "kinds": {"colour": "categorical", "member": "boolean"}}
    scoring = Scoring(tmp_path, **features, missing={"texts": [], "impute": ["*"]})
    chance, lines = random.Random(1), ["customer,age,colour,member"]
    for number in range(50):
        cells = (
            chance.choice(["", "40", "-3.5"]),
            chance.choice(["", "red", '"b,  c"', "new"]),
            chance.choice(["", "yes", "0"]),
        )
        lines.append(",".join([f"c{number}", *cells]))
    prepared = scoring.prepare({"b.csv": text(lines)}, contributions=2)

    def answer(row: str) -> dict[str, Any]:
        return {"score": 0.5, "predicted_label": 0}

    header, *scored = (scoring.join(answer, EXPLAINED) / "scored/b.csv").read_text().splitlines()
    assert header == f"{HEADER},feature_1,effect_1,feature_2,effect_2"
    signature = api_rows.Signature.of("own", json.loads(scoring.signature.to_json()))
    raw = (prepared / "batch/00000-00000.csv").read_text().splitlines()
    for row, line in zip(raw, scored, strict=True):
        wanted = [
            (each["feature"], each["effect"])
            for each in api.explained_row(EXPLAINED, signature, row, 2)["contributions"]
        ]
        *_, one, first, two, second = line.split(",")
        assert [(one, float(first)), (two, float(second))] == wanted


def test_without_an_explanation_of_the_model_contributions_are_refused(scoring: Scoring) -> None:
    scoring.prepare({"b.csv": text(LINES)}, contributions=2)
    with pytest.raises(JobError, match=r"set score\.contributions = 0"):
        scoring.join(by_age, {})


def test_scores_keep_their_bits(scoring: Scoring) -> None:
    chance = random.Random(2)
    scores = [chance.random() * 10.0 ** chance.randint(-9, 0) for _ in range(3)]
    known = dict(zip(("40,1.5", "20,-2", "30,0"), scores, strict=True))
    scoring.prepare({"b.csv": text(LINES)})
    output = scoring.join(lambda row: {"score": known[row], "predicted_label": 0})
    written = [float(line.split(",")[-2]) for line in (output / "scored/b.csv").read_text().splitlines()[1:]]
    assert written == scores
