"""The hash of a row's content, and the codes of levels."""

import dataclasses
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pipeline.jobs.preprocess.levels import Levels
from pipeline.jobs.preprocess.records import contents_of
from pipeline.jobs.shared.errors import JobError


def text(*values):
    return pa.array(values, pa.string())


@pytest.fixture(scope="module")
def without_ids(settings):
    return dataclasses.replace(settings, id_columns=(), missing_texts=("", "?"))


def test_each_row_has_a_hash_of_its_columns_by_name_in_any_order(without_ids):
    columns = {"a": text("x", "y", "x"), "b": np.array([1.0, 1.0, 2.0])}
    hashes = contents_of(columns, without_ids)
    assert len(set(hashes)) == 3
    assert hashes.tolist() == contents_of(dict(reversed(columns.items())), without_ids).tolist()
    exchanged = {"b": columns["a"], "a": columns["b"]}
    assert not set(hashes) & set(contents_of(exchanged, without_ids))
    assert not set(hashes) & set(contents_of(columns, dataclasses.replace(without_ids, salt="2")))


def test_ids_alone_name_a_row(settings):
    columns = {"customer": text("7", "7.0", "8"), "age": np.array([1.0, 2.0, 1.0])}
    first, again, other = contents_of(columns, settings)
    assert first == again != other


def test_a_row_without_ids_is_known_by_all_its_columns(settings):
    columns = {"customer": text("", "c", None, ""), "age": np.array([1.0, 1.0, 2.0, 1.0])}
    hashes = contents_of(columns, settings)
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[3]
    assert hashes[1] == contents_of({"customer": text("c"), "age": np.array([5.0])}, settings)[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1", " 1e0 ", True),
        ("0", "-0.0", True),
        ("a", " a ", True),
        ("a", "A", False),
        ("", "?", True),
        ("", "0", False),
        ("", "nan", False),
        ("ab", "ba", False),
        ("1.2.3", "1.2.4", False),
        ("1e999", "-1e999", False),
        ("12345678901234567890", "12345678901234567891", False),
        ("1234567890123456789", "+1234567890123456789", False),
        ("e", "+", False),
    ],
)
def test_numbers_count_by_value_and_other_texts_by_their_characters(without_ids, one, other, same):
    hashes = contents_of({"a": text(one, other)}, without_ids)
    assert (hashes[0] == hashes[1]) == same
    assert hashes.tolist() == contents_of({"a": text(one, other).dictionary_encode()}, without_ids).tolist()
    assert hashes.tolist() == contents_of({"a": text("x", one, other)[1:]}, without_ids).tolist()


def test_a_number_hashes_the_same_as_text_in_the_format_of_the_files(without_ids):
    format_ = dataclasses.replace(without_ids.format, decimal=",", thousands=".", symbols="€")
    numbers = contents_of({"a": np.array([1234.5, -3.0, np.nan])}, without_ids)
    texts = contents_of({"a": text("1.234,5 €", "-3", None)}, dataclasses.replace(without_ids, format=format_))
    assert numbers.tolist() == texts.tolist()


def test_a_column_without_a_value_is_as_no_column(without_ids):
    more = {"a": text("x", "y"), "b": text(None, ""), "c": np.array([np.nan, np.nan])}
    assert contents_of(more, without_ids).tolist() == contents_of({"a": text("x", "y")}, without_ids).tolist()


@profile(deadline=None)
@given(st.lists(st.one_of(st.text(), st.floats(allow_nan=False, allow_infinity=False)), max_size=30))
def test_a_text_hashes_the_same_in_any_company(without_ids, values):
    values = [str(value) if isinstance(value, float) else value.encode("utf-8", "ignore").decode() for value in values]
    alone = [contents_of({"a": text(value)}, without_ids)[0] for value in values]
    assert contents_of({"a": text(*values)}, without_ids).tolist() == alone


def test_many_different_texts_have_as_many_hashes(without_ids):
    texts = text(*(f"c{number:x}" for number in range(100_000)))
    keys = contents_of({"a": texts}, without_ids)
    assert len(np.unique(keys)) == len(texts)
    counts, _ = np.histogram(keys.astype(np.float64), bins=10, range=(0, 2.0**64))
    assert counts.max() / counts.min() < 1.1


def test_threads_agree_on_the_code_of_a_level():
    levels = Levels(["sex", "town"], 100)
    found = {}

    def read(number):
        found[number] = [int(code) for code in levels.codes("town", (f"t{(number + n) % 1000}" for n in range(1000)))]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    towns = levels.of("town")
    assert sorted(towns) == sorted(f"t{n}" for n in range(1000))
    assert [[towns[code] for code in found[number]] for number in range(8)] == [
        [f"t{(number + n) % 1000}" for n in range(1000)] for number in range(8)
    ]
    assert levels.of("sex") == []


def test_a_column_of_too_many_levels_is_named():
    levels = Levels(["name"], 2)
    levels.codes("name", map(str, range(200)))
    with pytest.raises(JobError, match=r'^column "name": more than 200 different values: put it in data\.ignored'):
        levels.codes("name", ["200"])
