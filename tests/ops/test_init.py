"""`ops init`: what it makes of the files that people have, and that preprocessing accepts the settings it writes."""

from __future__ import annotations

import gzip
import io
import re
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ops.init.columns import Style
from ops.init.plan import Wishes, plan_of
from ops.init.settings_file import SHIPPED, text_of
from pipeline.config import Settings, load
from pipeline.jobs import __main__ as jobs
from pipeline.settings import Format, ModelCard
from tests.conftest import ROOT
from tests.ops.typing import Answer, typed
from tests.tables import TABLES

RANDOM = np.random.default_rng(7)
A, B = RANDOM.normal(size=120).round(3), RANDOM.normal(5, 2, size=120).round(3)
Y = (A + 0.4 * (B - 5) + RANDOM.normal(scale=0.6, size=120) > 0).astype(int)
NAMES = ("a", "b", "y")


@dataclass(frozen=True)
class Case:
    """A file of two features and a target, and what the settings must have of it."""

    name: str
    text: bytes
    target: str = "y"
    options: tuple[str, ...] = ()
    kinds: dict[str, str] = field(default_factory=dict)
    format: Format = field(default_factory=Format)
    texts: tuple[str, ...] = ()
    impute: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    features: tuple[str, ...] = ("a", "b")
    labels: tuple[str, ...] = ("0", "1")

    def __str__(self) -> str:
        return self.name


def lines(*columns: Any, header: str = "a,b,y", separator: str = ",", end: str = "\n") -> bytes:
    rows = (separator.join(map(str, row)) for row in zip(*columns, strict=True))
    return end.join([*([header] if header else []), *rows, ""]).encode()


def comma(values: Any) -> list[str]:
    return [f"{value:.3f}".replace(".", ",") for value in values]


def mixed(gap: str) -> list[str]:
    return [gap if row % 9 == 4 else str(value) for row, value in enumerate(B)]


def packed(text: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("table.csv", text)
    return out.getvalue()


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


PLAIN = lines(A, B, Y)
SEX = np.where(B > 5, "male", "female")
CASES = [
    Case("plain.csv", PLAIN),
    Case("upper_case_name.CSV", PLAIN),
    Case("crlf.csv", lines(A, B, Y, end="\r\n")),
    Case("bom.csv", b"\xef\xbb\xbf" + PLAIN),
    Case("utf16.csv", PLAIN.decode().encode("utf-16"), format=Format(encoding="utf-16")),
    Case("packed.csv.gz", gzip.compress(PLAIN)),
    Case("packed.zip", packed(PLAIN)),
    Case("tabs.tsv", lines(A, B, Y, header="a\tb\ty", separator="\t"), format=Format(separator="\t")),
    Case("pipes.txt", lines(A, B, Y, header="a|b|y", separator="|"), format=Format(separator="|")),
    Case("tildes.txt", lines(A, B, Y, header="a~b~y", separator="~"), format=Format(separator="~")),
    Case(
        "spaces.data",
        lines(A, B, Y, header="", separator="   "),
        target="-1",
        features=("column_1", "column_2"),
        format=Format(separator=" ", header=False, names=("column_1", "column_2", "column_3")),
    ),
    Case(
        "spaces_after_commas.csv", lines(A, B, np.where(Y, ">50K", "<=50K"), separator=", "), labels=("<=50K", ">50K")
    ),
    Case("boolean.csv", lines(A, B > 5, Y), kinds={"b": "boolean"}),
    Case("categorical.csv", lines(A, SEX, Y), kinds={"b": "categorical"}),
    Case("missing.csv", lines(A, mixed(""), Y), impute=("b",)),
    Case("question_mark.csv", lines(A, mixed("?"), Y), impute=("b",), texts=("?",)),
    Case("dash.csv", lines(A, mixed(" - "), Y), impute=("b",), texts=("-",)),
    Case("own_text.csv", lines(A, mixed("n.d."), Y), impute=("b",), texts=("n.d.",)),
    Case("label_float.csv", lines(A, B, Y.astype(float))),
    Case("label_bool.csv", lines(A, B, Y == 1), labels=("False", "True")),
    Case(
        "noheader.csv",
        lines(A, B, Y, header=""),
        target="3",
        features=("column_1", "column_2"),
        format=Format(header=False, names=("column_1", "column_2", "column_3")),
    ),
    Case(
        "named.csv",
        lines(A, B, Y, header=""),
        options=("--names", "a,b,y"),
        format=Format(header=False, names=NAMES),
    ),
    Case(
        "semicolon.csv",
        lines(comma(A), comma(B), Y, header="a;b;y", separator=";"),
        format=Format(separator=";", decimal=","),
    ),
    Case("thousands.csv", lines(A, [f'"{1000 * value:,.2f}"' for value in B], Y), format=Format(thousands=",")),
    Case(
        "money.csv",
        lines(A, [f'"$ {abs(1000 * value):,.2f}"' for value in B], Y),
        format=Format(thousands=",", symbols="$"),
    ),
    Case("percent.csv", lines(A, [f"{value}%" for value in B], Y), format=Format(symbols="%")),
    Case("sep_line.csv", b"sep=;\n" + lines(A, B, Y, header="a;b;y", separator=";"), format=Format(separator=";")),
    Case(
        "mpg.data",
        lines(A, B, [f'{label}\t"ford  pinto {row}"' for row, label in enumerate(Y)], header="", separator="    "),
        target="3",
        features=("column_1", "column_2"),
        ignored=("column_4",),
        format=Format(separator=" ", header=False, names=("column_1", "column_2", "column_3", "column_4")),
    ),
    Case("comment.csv", b"# from the laboratory\n# in May\n" + PLAIN, format=Format(comment="#")),
    Case("trailing.csv", lines(A, B, [f"{label}," for label in Y])),
    Case(
        "apostrophes.csv",
        lines(A, [f"'{sex}, x'" for sex in SEX], Y),
        kinds={"b": "categorical"},
        format=Format(quote="'"),
    ),
    Case("unnamed_index.csv", lines(RANDOM.permutation(5000)[:120], A, B, Y, header=",a,b,y"), ignored=("",)),
    Case("number.csv", lines(range(1, 121), A, B, Y, header="row_number,a,b,y"), ignored=("row_number",)),
    Case("ids.csv", lines([f"x{row}" for row in range(120)], A, B, Y, header="id,a,b,y"), ignored=("id",)),
    Case(
        "latin1.csv",
        lines(["José"] * 60 + ["Zoë"] * 60, A, B, Y, header="n,a,b,y").decode().encode("latin-1"),
        features=("n", "a", "b"),
        kinds={"n": "categorical"},
        format=Format(encoding="latin-1"),
    ),
    Case(
        "repeated_ids.data",
        lines(RANDOM.integers(10**6, 10**7, 120), A, B, Y, header=""),
        target="-1",
        features=("column_2", "column_3"),
        ignored=("column_1",),
        format=Format(header=False, names=("column_1", "column_2", "column_3", "column_4")),
    ),
    Case("marked_header.csv", lines(A, B, Y, header="# a,b,y"), features=("# a", "b")),
    Case("constant.csv", lines(["eu"] * 120, A, B, Y, header="region,a,b,y"), ignored=("region",)),
    Case(
        "dates.csv",
        lines([f"2020-01-{1 + row % 28:02d}" for row in range(120)], A, B, Y, header="day,a,b,y"),
        ignored=("day",),
    ),
    Case("postcode.csv", lines(A, [f"0{1 + row % 5}123" for row in range(120)], Y), kinds={"b": "categorical"}),
    Case("row_names.csv", lines([f'"car {row}"' for row in range(120)], A, B, Y), ignored=("",)),
    Case(
        "row_names.txt",
        lines(RANDOM.permutation(5000)[:120], A, B, Y, header="a b y", separator=" "),
        ignored=("",),
        format=Format(separator=" "),
    ),
    Case(
        "spellings.csv",
        lines(A, B, [["no", "yes"][label] if row % 9 else ["F", "TRUE"][label] for row, label in enumerate(Y)]),
        labels=("no", "yes"),
    ),
    Case(
        "accounts.csv",
        lines([f"({-a:.3f})" if a < 0 else f"{a:.3f}" for a in A], A, B, Y, header="n,a,b,y"),
        ignored=("n",),
    ),
    Case("line_break.csv", lines(A, B, Y, header='a,b,"is\n y"'), target="is y"),
    Case("bool_label.parquet", parquet(a=A, b=B, y=Y == 1), labels=("false", "true")),
    Case(
        "lists.parquet",
        parquet(tags=[["x"]] * 60 + [None] * 60, place=[{"x": 1}] * 120, image=[b"\xff"] * 120, a=A, b=B, y=Y),
        ignored=("tags", "place", "image"),
    ),
    Case("text.parquet", parquet(a=A, b=pa.array(SEX).dictionary_encode(), y=Y), kinds={"b": "categorical"}),
]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preprocessing runs in this process, 0.3 s sooner for each file; tests/ops/test_check.py starts it as users do."""

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
            patched.setattr(sys, "meta_path", [*sys.meta_path])  # the job hides pandas
            patched.setattr("pipeline.jobs.__main__.map_large_arrays", lambda: None)
            return SimpleNamespace(returncode=jobs.main(command[3:]), stdout=said.getvalue(), stderr="")

    monkeypatch.setattr("ops.check.subprocess", SimpleNamespace(run=run))


def init(folder: Path, name: str, text: bytes, target: str, *options: str) -> tuple[Answer, Path]:
    (folder / name).write_bytes(text)
    out = folder / "pipeline.toml"
    return typed("init", str(folder / name), "--target", target, "--out", str(out), *options), out


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_finds_how_a_file_is_written_and_preprocessing_accepts_the_settings(case: Case, tmp_path: Path) -> None:
    answer, out = init(tmp_path, case.name, case.text, case.target, "--json", *case.options)
    assert answer.code == 0, answer.err
    found = load(out).data
    decided = (found.features, found.kinds, found.ignored_columns, found.missing.texts, found.missing.impute)
    assert decided == (case.features, case.kinds, case.ignored, case.texts, case.impute)
    assert (found.format, found.predictor_type) == (case.format, "binary_classifier")
    assert set(found.classes) == set(case.labels)
    assert answer.document["check"]["accepted"], answer.document["check"]["message"]


@pytest.mark.full
@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_a_public_package_gets_settings_that_preprocessing_accepts(name: str, tmp_path: Path) -> None:
    made = TABLES[name]()
    answer, out = init(tmp_path, f"{name}.csv", made.text, made.target, "--json")
    assert answer.code == 0, answer.err
    assert load(out).data.predictor_type == made.type
    assert answer.document["check"]["accepted"], answer.document["check"]["message"]


def test_every_stage_of_the_shipped_settings_stays(tmp_path: Path) -> None:
    _, out = init(tmp_path, "plain.csv", PLAIN, "y", "--name", "my-table")
    shipped = {stage: load(ROOT / "pipeline.toml", stage) for stage in ("dev", "prod")}
    for stage, settings in shipped.items():
        found = load(out, stage)
        assert found.project.name == {"dev": "my-table", "prod": "my-table-prod"}[stage]
        for table in set(Settings.model_fields) - {
            "project",
            "data",
            "gate",
            "endpoint",
            "api",
            "training",
            "model_card",
        }:
            assert getattr(found, table) == getattr(settings, table), table
        assert found.model_card == ModelCard()  # that of the shipped settings is of another model
        assert found.endpoint == settings.endpoint.model_copy(update={"golden": ()})
    assert load(out).api.path == "/predict"


def test_the_old_settings_are_kept_beside_the_new_ones(tmp_path: Path) -> None:
    _, out = init(tmp_path, "plain.csv", PLAIN, "y")
    first = out.read_text()
    assert list(tmp_path.glob("pipeline.toml.bak*")) == []
    init(tmp_path, "plain.csv", PLAIN, "y")
    assert list(tmp_path.glob("pipeline.toml.bak*")) == []
    answer, _ = init(tmp_path, "plain.csv", PLAIN, "y", "--name", "other")
    assert f"wrote {out}; the old one is {out}.bak\n" in answer.out
    assert (tmp_path / "pipeline.toml.bak").read_text() == first
    init(tmp_path, "plain.csv", PLAIN, "y", "--name", "another")
    assert len(list(tmp_path.glob("pipeline.toml.bak*"))) == 2


def test_settings_that_were_changed_by_hand_stay_but_for_the_data(tmp_path: Path) -> None:
    _, out = init(tmp_path, "plain.csv", PLAIN, "y")
    out.write_text(out.read_text().replace("monthly_budget = 50 ", "monthly_budget = 77 "))
    init(tmp_path, "plain.csv", PLAIN, "y", "--name", "again")
    assert (load(out).stack.monthly_budget, load(out).project.name) == (77, "again")


def test_the_next_command_is_the_one_to_type(tmp_path: Path) -> None:
    answer, out = init(tmp_path, "my data.csv", PLAIN, "y")
    assert answer.out.splitlines()[-1] == f"next: PIPELINE_CONFIG={out} make run DATA='{tmp_path}/my data.csv'"


def test_the_rarer_label_is_positive_unless_another_is_wanted(tmp_path: Path) -> None:
    label = np.where(A > 0.8, "rare", "usual")
    _, out = init(tmp_path, "rare.csv", lines(A, B, label), "y")
    assert load(out).data.classes == ("usual", "rare")
    init(tmp_path, "rare.csv", lines(A, B, label), "y", "--positive", "usual")
    assert load(out).data.classes == ("rare", "usual")
    answer, _ = init(tmp_path, "rare.csv", lines(A, B, label), "y", "--positive", "other")
    assert answer.err.endswith("--positive 'other' is no label of the target: choose rare or usual\n")


def test_the_target_decides_the_predictor_type(tmp_path: Path) -> None:
    thirds = np.digitize(A, [-0.4, 0.4])
    for target, kind in (
        (A + B, "regressor"),
        (thirds, "multiclass_classifier"),
        (np.array(["x", "y", "z"])[thirds], "multiclass_classifier"),
        (np.arange(120) % 40, "regressor"),
        (Y, "binary_classifier"),
    ):
        _, out = init(tmp_path, "type.csv", lines(A, B, target), "y")
        assert load(out).data.predictor_type == kind
    init(tmp_path, "type.csv", lines(A, B, thirds), "y", "--type", "regressor")
    assert load(out).data.predictor_type == "regressor"


def test_rows_without_a_target_and_rare_classes_are_reported_and_allowed_as_bad_rows(tmp_path: Path) -> None:
    target = np.array(["x", "y", "z"])[np.digitize(A, [-0.4, 0.4])].astype(object)
    target[:6] = ""
    target[6:9] = "seldom"
    answer, out = init(tmp_path, "gaps.csv", lines(A, B, target), "y")
    found = load(out).data
    assert (found.labels, found.bad_rows.share) == (("x", "y", "z"), 0.12)
    assert "look at: 9 rows have no usable value of 'y' or one of the rare classes seldom" in answer.out


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (np.where(Y, "in", "out"), "'b': it alone tells the target in 100.0% of the rows"),
        ([-999 if row % 9 == 4 else row % 31 for row in range(120)], "'b' has -999 in 10.8% of the rows"),
        (RANDOM.permutation(9000)[:120], "'b' has another whole number in most rows"),
        (["word" if row == 5 else row / 7 for row in range(120)], "'b' has no number in 1 rows"),
    ],
    ids=["leak", "sentinel", "number", "word"],
)
def test_it_says_what_to_look_at(column: Any, hint: str, tmp_path: Path) -> None:
    answer, _ = init(tmp_path, "hint.csv", lines(A, column, Y), "y")
    assert f"look at: {hint}" in answer.out, answer.out + answer.err


def test_imbalance_and_a_target_that_nothing_predicts_are_hints(tmp_path: Path) -> None:
    rare = np.where(np.arange(400) % 27 == 0, "yes", "no")
    noise = np.random.default_rng(3).normal(size=(2, 400))
    answer, out = init(tmp_path, "rare.csv", lines(*noise, rare), "y")
    assert "only 3.8% of the rows are 'yes'" in answer.out
    assert "a linear model hardly predicts 'y'" in answer.out
    assert load(out).gate.minimum["auc"] >= 0.5


def test_the_gate_is_between_a_constant_answer_and_the_linear_model(tmp_path: Path) -> None:
    answer, out = init(tmp_path, "plain.csv", PLAIN, "y", "--json")
    gate = answer.document["gate"]
    assert gate["constant"]["auc"] == 0.5
    for name, threshold in load(out).gate.minimum.items():
        assert gate["constant"][name] <= threshold < gate["linear"][name] - 0.02, name


@pytest.mark.parametrize(
    ("text", "target", "options", "message"),
    [
        (PLAIN, "Yy", (), "--target 'Yy' is no column of {file}: did you mean 'y'? Columns: 'a', 'b', 'y'"),
        (PLAIN, "7", (), "--target 7: {file} has the columns 1 to 3, and -1 is the last"),
        (lines(A, B, ["x"] * 120), "y", (), "the target 'y' has not two classes ('x' in 120 rows)"),
        (lines(A[:9], B[:9], Y[:9]), "y", (), "9 rows: a model needs at least 30"),
        (b"", "y", (), "the file is empty"),
        (lines(["x"] * 120, Y, header="a,y"), "y", (), "no column is left to learn from (a: 'x' in every row)"),
        (lines(A, B, [f"name {row}" for row in range(120)]), "y", (), "choose a column of fewer classes"),
        (b"some words\nand others, in a text\n" * 40, "y", (), "not a table"),
        (lines(A, B, Y, header=""), "y", ("--names", "a,b"), "--names has 2 names and the rows have 3 values"),
        (PLAIN, "y", ("--names", "a,b,c"), "its first line is a header (a, b, y): --names is for files without one"),
        (PLAIN, "y", ("--name", "My Model"), "'My Model' is not allowed here: write it like 'my-model'"),
        (b"my table\n" + PLAIN, "y", (), "the first line has 1 values and most rows have 3: give each column a name"),
    ],
    ids=[
        "name",
        "place",
        "class",
        "rows",
        "empty",
        "constant",
        "texts",
        "prose",
        "names",
        "header",
        "project",
        "title",
    ],
)
def test_a_file_or_wish_that_cannot_be_is_an_error_that_says_what_to_do(
    text: bytes, target: str, options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    answer, out = init(tmp_path, "wrong.csv", text, target, *options)
    assert (answer.code, answer.out) == (1, ""), answer
    assert message.format(file=tmp_path / "wrong.csv") in answer.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("table.xlsx", b"PK", "a run reads only .csv, .tsv"),
        ("table.csv", gzip.compress(PLAIN), "it is packed with gzip: call it table.csv.gz"),
        ("table.csv", packed(PLAIN), "it is a spreadsheet or an archive: save a spreadsheet as CSV"),
        ("table.csv", b'{"a": 1, "y": 2}\n' * 40, "looks like JSON: save the table as CSV or Parquet"),
        ("table.csv", b"report,,\n" + PLAIN, "columns without a name: give each one, and delete lines before"),
        ("table.csv.gz", b"no gzip", "Not a gzipped file"),
        ("table.zip", b"no zip", "File is not a zip file"),
        ("table.parquet", b"no parquet", "table.parquet: "),
    ],
    ids=["xlsx", "gzip", "spreadsheet", "json", "title", "no-gzip", "no-zip", "no-parquet"],
)
def test_a_file_that_cannot_be_read_says_so(name: str, text: bytes, message: str, tmp_path: Path) -> None:
    answer, _ = init(tmp_path, name, text, "y")
    assert answer.code == 1
    assert message in answer.err


def test_a_large_file_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.init.sniff.BLOCK", 500)
    monkeypatch.setattr("ops.init.sniff.BLOCKS", 3)
    answer, out = init(tmp_path, "large.csv", lines(A, B, Y), "y")
    assert (answer.code, load(out).data.features) == (0, ("a", "b")), answer.err
    assert re.search(r"look at: the file is large: [3-6]\d% of it, spread evenly, was looked at", answer.out)


@pytest.mark.parametrize(
    ("style", "text", "number"),
    [
        (Style(), "-1.5e3", -1500.0),
        (Style(), "1,5", None),
        (Style(), "nan", None),
        (Style(), "1_000", None),
        (Style(decimal=",", thousands="."), "1.234,5", 1234.5),
        (Style(decimal=",", thousands="."), "1.23", None),
        (Style(thousands=","), "0,066", None),
        (Style(symbols="$%"), "$ 12.5", 12.5),
    ],
)
def test_a_number_is_read_as_the_file_writes_it(style: Style, text: str, number: float | None) -> None:
    assert style.number(text) == number


def test_the_volume_holds_the_data_and_two_copies_of_its_values_however_short_their_text_is(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_bytes(lines(RANDOM.integers(0, 9, 120), RANDOM.choice(["red", "green"], 120), Y))
    plan, _ = plan_of(file, Wishes("y"))
    assert (plan.all_rows, plan.volume_gb) == (120, 10)
    large = replace(plan, size=6 * 10**9, all_rows=10**9)  # a, the levels of b, key, place and label
    (tmp_path / "pipeline.toml").write_text(text_of(large, SHIPPED.read_text()))
    assert load(tmp_path / "pipeline.toml").processing.volume_gb == 6 + 2 * 8 * (2 + 2 + 3)


def test_the_rows_of_a_large_file_are_estimated_from_the_part_that_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.init.sniff.BLOCK", 4096)
    file = tmp_path / "large.csv"
    file.write_bytes(lines(*(np.tile(column, 200) for column in (A, B, Y))))
    plan, hints = plan_of(file, Wishes("y"))
    assert plan.rows < 20_000 and any("spread evenly" in hint for hint in hints)
    assert plan.all_rows == pytest.approx(24_000, rel=0.05)
