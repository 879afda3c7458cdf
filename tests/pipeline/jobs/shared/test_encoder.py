"""The encoder: what is learnt of training rows, and that a job and a container encode a row to the same bits."""

import csv
import dataclasses
import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pipeline.jobs.preprocess.encoding import RowEncoder, write_model
from pipeline.jobs.preprocess.learning import Learner
from pipeline.jobs.preprocess.levels import Levels
from pipeline.jobs.preprocess.parts import Parts
from pipeline.jobs.preprocess.records import Records
from pipeline.jobs.shared.encoder import (
    BadRows,
    Encoder,
    Feature,
    boolean_of,
    input_fn,
    level_of,
    model_fn,
    output_fn,
    predict_fn,
)
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.settings import JobSettings, LevelLimits

TRAIN, HOLDOUT = 0, (1 << 64) - 1  # keys of these parts
Values = list[float | bool | str | None]


def settings_for(
    settings: JobSettings, kinds: dict[str, str], imputed: tuple[str, ...], **change: object
) -> JobSettings:
    flags = tuple(name in imputed for name in kinds)
    return dataclasses.replace(settings, features=tuple(kinds), kinds=tuple(kinds.values()), imputed=flags, **change)


def rows_of(columns: dict[str, Values], levels: Levels, key: int = TRAIN) -> Records:
    """Rows of a part, as the reader makes them."""
    found = [
        [np.nan if value is None else levels.codes(name, [value])[0] if isinstance(value, str) else float(value)]
        for name, values in columns.items()
        for value in values
    ]
    table = np.array(found).reshape(len(columns), -1)
    count = table.shape[1]
    return Records.of(list(table), np.zeros(count), np.ones(count, np.int64), np.full(count, key, np.uint64))


def learnt(settings: JobSettings, levels: Levels, *rows: Records) -> Learner:
    learner = Learner(Parts(settings), levels, sum(map(len, rows)))
    for some in rows:
        learner.add(some)
    return learner


def in_container(encoder: Encoder, raw: bytes) -> str:
    """What the container of the model answers to raw rows."""
    with tempfile.TemporaryDirectory() as name:
        write_model(encoder, Path(name))
        with tarfile.open(Path(name) / "model.tar.gz") as archive:
            archive.extractall(name, filter="data")
        text, accepted = output_fn(predict_fn(input_fn(raw, "text/csv; charset=utf-8"), model_fn(name)), "text/csv")
    assert accepted == "text/csv"
    return text.decode()


def numbers(text: str) -> list[list[float]]:
    return [list(map(float, line)) for line in csv.reader(io.StringIO(text))]


def bits(rows: object) -> list[list[int]]:
    return np.array(rows, np.float64).view(np.uint64).tolist()


def test_what_is_learnt_is_learnt_of_training_rows_alone(settings):
    wanted = settings_for(
        settings,
        {"age": "numeric", "fare": "numeric", "sex": "categorical", "paid": "boolean", "port": "categorical"},
        ("age", "paid", "port"),
        levels=LevelLimits(2, 10),
    )
    levels = Levels(wanted.features, 10)
    trained = {
        "age": [1.0, 9.0, None, 3.0, 4.0],
        "fare": [0.5] * 5,
        "sex": ["male", "female", "female", "male", "x"],
        "paid": [True, False, True, True, False],
        "port": ["S", "S", "C", None, "C"],
    }
    held_out = {"age": [500.0], "fare": [1.0], "sex": ["y"], "paid": [None], "port": ["Q"]}
    learner = learnt(wanted, levels, rows_of(trained, levels), rows_of(held_out, levels, HOLDOUT))
    encoder = learner.encoder()
    assert encoder == Encoder(
        (
            Feature("age", "numeric", imputed=True, median=3.5, indicator=True),
            Feature("fare", "numeric"),
            Feature("sex", "categorical", levels=("female", "male"), other=True),
            Feature("paid", "boolean", imputed=True),
            Feature("port", "categorical", imputed=True, levels=("C", "S"), indicator=True),
        )
    )
    assert Encoder.from_json(encoder.to_json()) == encoder
    assert json.loads(encoder.to_json())["columns"] == [
        *("age", "age (missing)", "fare", "sex=female", "sex=male", "sex (other)", "paid"),
        *("port=C", "port=S", "port (missing)"),
    ]
    assert learner.categories() == {
        "sex": {"kind": "categorical", "levels": {"female": 2, "male": 2, "x": 1, "y": 1}, "missing": 0},
        "paid": {"kind": "boolean", "levels": {"false": 2, "true": 3}, "missing": 1 / 6},
        "port": {"kind": "categorical", "levels": {"C": 2, "S": 2, "Q": 1}, "missing": 1 / 6},
    }


def test_unseen_levels_are_other_or_nothing_and_missing_values_are_filled_in(settings):
    encoder = Encoder(
        (
            Feature("age", "numeric", imputed=True, median=3.5, indicator=True),
            Feature("sex", "categorical", levels=("female", "male"), other=True),
            Feature("paid", "boolean", imputed=True),
            Feature("port", "categorical", imputed=True, levels=("C", "3"), indicator=True),
        )
    )
    raw = b'2,male,TRUE,C\n,"x, y",,3.0\n-1e3, fe  male ,no,Z\n7,female,1.0,\n'
    assert in_container(encoder, raw) == (
        "2,0,0,1,0,1,1,0,0\n3.5,1,0,0,1,0,0,1,0\n-1000,0,0,0,1,0,0,0,0\n7,0,1,0,0,1,0,0,1\n"
    )


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b",male,yes\n", '"age" has no value in row 1'),
        (b"1,male,yes\n2,,no\n", '"sex" has no value in row 2'),
        (b"1,male,maybe\n", '"paid" is neither true nor false'),
        (b"1,male\n", "want 3 values in each row"),
        (b"old,male,yes\n", "want 3 values in each row, numbers where the model has numbers"),
        (b"inf,male,yes\n", '"age" is not finite in row 1'),
        (b"nan,male,yes\n", '"age" is not finite in row 1'),
    ],
)
def test_a_row_that_the_encoder_cannot_read_is_refused(raw, message):
    features = (Feature("age", "numeric"), Feature("sex", "categorical", levels=("male",)), Feature("paid", "boolean"))
    refused = output_fn(predict_fn(input_fn(raw, "text/csv"), Encoder(features)), "application/json")
    # An answer of 500 would count as an error of the model, which rolls a deployment back.
    assert (refused.status_code, refused.content_type) == (400, "text/plain")
    assert message in refused.get_data(as_text=True)


def test_the_container_takes_csv_alone():
    with pytest.raises(BadRows, match="takes raw rows as text/csv, not application/json"):
        input_fn(b"{}", "application/json")


def test_levels_and_booleans_are_read_however_they_are_written():
    assert [level_of(text) for text in (" a  b\n", "3.0", "-3.00", "3.10", "1e3", "A")] == [
        *("a b", "3", "-3", "3.10", "1e3", "A"),
    ]
    assert [boolean_of(text) for text in ("Yes", "1.0", "T", "off", "0.0", " false ", "maybe", "2")] == [
        *(1.0, 1.0, 1.0, 0.0, 0.0, 0.0, None, None),
    ]


@pytest.mark.parametrize(
    ("town", "message"),
    [
        (
            [f"t{n}" for n in range(3) for _ in range(2)],
            'column "town": 3 levels have at least 2 rows of train, data.levels.maximum is 2',
        ),
        ([f"t{n}" for n in range(6)], 'column "town": 6 levels have less than 2 rows of train'),
    ],
)
def test_a_column_with_too_many_levels_is_named(settings, town, message):
    wanted = settings_for(settings, {"town": "categorical"}, (), levels=LevelLimits(2, 2))
    levels = Levels(wanted.features, 2)
    with pytest.raises(JobError, match=message):
        learnt(wanted, levels, rows_of({"town": town}, levels)).encoder()


@pytest.mark.parametrize("kind", ["numeric", "boolean", "categorical"])
def test_a_column_that_no_training_row_has_is_named(settings, kind):
    wanted = settings_for(settings, {"age": kind}, ("age",))
    levels = Levels(wanted.features, 2)
    with pytest.raises(JobError) as error:
        learnt(wanted, levels, rows_of({"age": [None, None]}, levels)).encoder()
    assert str(error.value) == 'column "age": no row of train has a value: put it in data.ignored_columns'


def test_the_same_encoder_makes_the_same_model(tmp_path):
    for folder in ("one", "other"):
        write_model(Encoder((Feature("age", "numeric"),)), tmp_path / folder)
    assert (tmp_path / "one/model.tar.gz").read_bytes() == (tmp_path / "other/model.tar.gz").read_bytes()


level = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=5).map(level_of).filter(bool)
a_value = {
    "numeric": st.floats(-1e38, 1e38),
    "boolean": st.booleans(),
    "categorical": st.sampled_from(["a", "b", 'c, "d"', "3", "é"]) | level,
}


@st.composite
def tables(draw):
    """Kinds by feature, the imputed ones, and columns of training rows and of others."""
    kinds = draw(st.lists(st.sampled_from(sorted(a_value)), min_size=1, max_size=5))
    imputed = tuple(str(number) for number in range(len(kinds)) if draw(st.booleans()))
    parts = []
    for _ in ("train", "holdout"):
        rows = draw(st.integers(1, 40))
        columns = {}
        for name, kind in zip(map(str, range(len(kinds))), kinds, strict=True):
            value = a_value[kind] | st.none() if name in imputed else a_value[kind]
            columns[name] = draw(st.lists(value, min_size=rows, max_size=rows))
        parts.append(columns)
    for name in imputed:
        if all(value is None for value in parts[0][name]):
            parts[0][name][0] = draw(a_value[kinds[int(name)]])
    return dict(zip(map(str, range(len(kinds))), kinds, strict=True)), imputed, *parts


def value_of(kind: str, cell: str) -> float | bool | str | None:
    return None if not cell else float(cell) if kind == "numeric" else cell == "true" if kind == "boolean" else cell


@profile(max_examples=60, deadline=None)
@example(({"0": "numeric"}, ("0",), {"0": [0.1, None]}, {"0": [None, 1 / 3]}))
@given(tables())
def test_the_job_and_the_container_encode_rows_to_the_same_bits(settings, table):
    kinds, imputed, trained, held_out = table
    wanted = settings_for(settings, kinds, imputed, levels=LevelLimits(2, 100))
    levels = Levels(wanted.features, 100)
    parts = [rows_of(trained, levels), rows_of(held_out, levels, HOLDOUT)]
    writer = RowEncoder(learnt(wanted, levels, *parts).encoder(), levels)
    rows = Records(np.concatenate([part.words for part in parts]))
    raw = writer.raw_text(rows)
    assert raw.count(b"\n") == len(rows)
    cells = [row or [""] for row in csv.reader(io.StringIO(raw.decode()))]
    columns = ([*trained[name], *held_out[name]] for name in kinds)
    assert [[value_of(*cell) for cell in zip(kinds.values(), row, strict=True)] for row in cells] == [
        list(row) for row in zip(*columns, strict=True)
    ]
    encoded = writer.encoded(rows)
    assert encoded.shape == (len(rows), len(writer.encoder.columns))
    assert bits(numbers(in_container(writer.encoder, raw))) == bits(encoded)
    labelled = writer.encoded_text(np.arange(len(rows), dtype=np.int64), rows).decode()
    assert bits(numbers(labelled)) == bits(np.column_stack([np.arange(len(rows)), encoded]))


def test_the_width_of_rows_is_about_that_of_their_text(settings):
    kinds = {"0": "numeric", "1": "categorical", "2": "boolean"}
    wanted = settings_for(settings, kinds, (), levels=LevelLimits(1, 100))
    generator, levels = np.random.default_rng(0), Levels(wanted.features, 100)
    columns = {"0": generator.integers(10**6, 10**7, 200) / 2**10, "1": [*map(str, range(50))] * 4, "2": [True] * 200}
    rows = rows_of({name: list(column) for name, column in columns.items()}, levels)
    writer = RowEncoder(learnt(wanted, levels, rows).encoder(), levels)
    text = writer.encoded_text(np.zeros(len(rows), np.int64), rows)
    assert writer.width == pytest.approx(len(text) / len(rows), rel=0.05)
