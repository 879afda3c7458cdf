from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.jobs.shared.errors import JobError
from tests.pipeline.jobs.preprocess.reading import read_blocks, read_values, settings_with

RIGHT = {"customer": ["a", "b"], "age": [40, 50], "visits": [1.5, 2.0], "bought": ["yes", "no"]}


def read(folder, change, **data):
    pq.write_table(pa.table({**RIGHT, **change}), folder / "shop.parquet")
    return read_values(folder / "shop.parquet", settings_with(**data))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"age": pa.array([40, 50], pa.uint8())},
        {"age": pa.array([Decimal("40.0"), Decimal("50.0")], pa.decimal128(9, 2))},
        {"age": pa.array([40, 50], pa.float32())},
        {"age": ["40", " 50.0"]},
        {"age": pa.array(["40", "50"], pa.large_string())},
        {"age": pa.array(["40", "50"]).dictionary_encode()},
        {"customer": [1, None]},
        {"customer": [date(2024, 1, 1), None]},
        {"customer": [datetime(2024, 1, 1, 12), datetime(2024, 1, 2)]},
        {"customer": [True, False]},
        {"bought": ["yes ", "NO"]},
        {"bought": pa.array(["yes", "no"]).dictionary_encode()},
        {"bought": pa.array(["yes", "no"], pa.large_string())},
        {"bought": [True, False]},
    ],
)
def test_every_type_of_the_same_rows_reads_alike(folder, change):
    assert read(folder, change) == [[40.0, 1.5, 1.0], [50.0, 2.0, 0.0]]


@pytest.mark.parametrize("labels", [[True, False], [1, 0], [1.0, 0.0], ["1", "0.0"], [Decimal(1), Decimal(0)]])
def test_labels_may_be_booleans_and_numbers(folder, labels):
    rows = read(folder, {"bought": labels}, negative_label="0", positive_label="1")
    assert [row[-1] for row in rows] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["m", "f"], ["m", "f"]),
        ([" m  x", None], ["m x", None]),
        (pa.array(["m", None]).dictionary_encode(), ["m", None]),
        ([3, 1], ["3", "1"]),
        ([3.0, np.nan], ["3", None]),
        ([True, None], ["true", None]),
        ([date(2024, 1, 1), None], ["2024-01-01", None]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
)
def test_categories_may_be_of_any_type_and_nulls_are_missing(folder, values, wanted):
    rows = read(folder, {"age": values}, kinds={"age": "categorical"}, missing={"impute": ["age"]})
    assert [row[0] for row in rows] == wanted


@pytest.mark.parametrize("values", [[True, None], [1, None], [1.0, np.nan], ["Yes", None], ["on", ""]])
def test_booleans_may_be_numbers_and_words(folder, values):
    rows = read(folder, {"age": values}, kinds={"age": "boolean"}, missing={"impute": ["*"]})
    assert [row[0] for row in rows] == [1.0, None]


@pytest.mark.parametrize("values", [[40, None], [40.0, np.nan], ["40", "?"], pa.array([Decimal(40), None])])
def test_missing_numbers_are_those_that_are_null_nan_or_a_text_for_it(folder, values):
    rows = read(folder, {"age": values}, missing={"texts": ["?"], "impute": ["age"]})
    assert [row[0] for row in rows] == [40.0, None]


def test_a_table_reads_as_its_csv_does(folder):
    settings = settings_with(id_columns=[], ignored_columns=["customer"], kinds={"age": "categorical"})
    pq.write_table(pa.table(RIGHT), folder / "shop.parquet")
    (folder / "shop.csv").write_text("bought,age,visits,customer\nyes,40,1.50,a\nno,50,2,b\n")
    (one,), _ = read_blocks(folder / "shop.parquet", settings)
    (other,), _ = read_blocks(folder / "shop.csv", settings)
    np.testing.assert_array_equal(one.contents, other.contents)


@pytest.mark.parametrize("values", [[["x", "y"], None], [{"x": [1]}, {"x": None}], [b"\xff", None]])
def test_a_row_is_known_by_what_is_in_its_ignored_columns_of_any_type(folder, values):
    table = pa.table({name: [column[0], *column] for name, column in RIGHT.items() if name != "customer"})
    pq.write_table(table.append_column("customer", [[values[0], *values]]), folder / "shop.parquet")
    settings = settings_with(id_columns=[], ignored_columns=["customer"])
    (rows,), _ = read_blocks(folder / "shop.parquet", settings)
    assert (rows.features[0].tolist(), len(set(rows.contents.tolist()))) == ([40.0, 40.0, 50.0], 2)


def test_a_column_of_text_is_reported_as_a_column(folder):
    message = r'shop.parquet: every value of "age" is text \("f", "m"\): make it categorical'
    with pytest.raises(JobError, match=message):
        read(folder, {"age": ["m", "f"]})
    with pytest.raises(JobError, match=r'column "age": timestamp\[us\] is not a type of numbers: write it as double'):
        read(folder, {"age": [datetime(2024, 1, 1, 12), datetime(2024, 1, 2)]})
