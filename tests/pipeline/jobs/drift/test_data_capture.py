import math

import numpy as np
import pytest

from pipeline.jobs.drift.data_capture import read_data_capture, row_key
from pipeline.jobs.drift.job import encoder_of
from pipeline.jobs.shared.encoder import OTHER
from tests.pipeline.jobs.drift.capture import KINDS, record


def test_records_are_read_row_by_row_and_unreadable_ones_are_counted(settings, tmp_path):
    lines = [
        record([[30, 2], ["", 3]], [(0.9, 1), (0.2, 0)], "a"),
        "not json",
        record([[1]], [(0.5, 0)]),
        record([[1, 2]], [(0.5, 0), (0.5, 0)]),
        record([[4, 5]], [(0.7, 1)], "b", "2026-08-01T00:00:00Z"),
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    (kept,) = read_data_capture(tmp_path, settings)
    assert (kept.requests, kept.unreadable) == (5, 3)
    np.testing.assert_array_equal(kept.features, [[30, 2], [math.nan, 3], [4, 5]])
    assert kept.keys.tolist() == [row_key("a", 1), row_key("a", 2), row_key("b", 1)]
    assert kept.times.tolist() == ["2026-07-31T10:00:00Z"] * 2 + ["2026-08-01T00:00:00Z"]


def test_rows_that_were_built_by_another_signature_are_left_out(settings, tmp_path):
    """After a switch of the model the API asks again: the first time, the new model answered rows of the old one."""
    own, other = "a" * 16, "b" * 16
    lines = [
        record([[1, 30]], [(0.9, 1)], f"{other}:a"),
        record([[30, 1]], [(0.1, 0)], f"{own}:a"),
        record([[40, 2]], [(0.1, 0)], f"{own}:"),
        record([[50, 3]], [(0.1, 0)], "of an older version"),
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    (whole,) = read_data_capture(tmp_path, settings, signature=own)
    (tmp_path / "y.jsonl").write_text("\n".join(["not json", record([["x"]], [(0.5, 0)], f"{other}:b")]))
    (slow,) = read_data_capture(tmp_path, settings, signature=own)
    assert (whole.requests, whole.unreadable, slow.requests, slow.unreadable) == (3, 0, 4, 1)
    for found in (whole, slow):
        assert found.features.tolist() == [[30, 1], [40, 2], [50, 3]]
        assert found.keys.tolist() == [row_key(name, 1) for name in ("a", "e", "of an older version")]
    (tmp_path / "x.jsonl").write_text(lines[0])
    (tmp_path / "y.jsonl").unlink()
    (none,) = read_data_capture(tmp_path, settings, signature=own)
    assert (none.requests, none.unreadable, len(none.keys)) == (0, 0, 0)


@pytest.mark.parametrize("text", ["1,2\n ,3\n", "1,2\n1_0,inf", "4,x\nnan,5"])
def test_records_read_by_columns_are_what_they_are_one_by_one(settings, tmp_path, monkeypatch, text):
    """A record that pyarrow does not read sends the whole batch the slow way."""
    rows = [line.split(",") for line in text.split("\n") if line]
    good = [record(rows, [(0.9, 1), (0.2, 0)], f"id-{number}" * (number % 2)) for number in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(good[:2]))
    (tmp_path / "b.jsonl").write_text("\n".join(good[2:]) + "\n")
    (whole,) = read_data_capture(tmp_path, settings)
    (tmp_path / "c.jsonl").write_text("not json")
    (slow,) = read_data_capture(tmp_path, settings)
    assert (whole.requests, whole.unreadable, slow.requests, slow.unreadable) == (5, 0, 6, 1)
    for name in ("features", "scores", "classes", "keys", "times"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(slow, name))
    monkeypatch.setattr("pipeline.jobs.drift.data_capture.BLOCK_BYTES", 1)
    batches = list(read_data_capture(tmp_path, settings))
    assert [len(batch.keys) for batch in batches] == [4, 6, 0, 0]
    np.testing.assert_array_equal(np.concatenate([batch.features for batch in batches]), whole.features)


def test_raw_rows_are_read_by_columns_as_they_are_one_by_one(tmp_path, kinds):
    """A record that the encoder does not read, or with a line break in a level, sends the batch the slow way."""
    rows = ['34,"New York, NY",true', ",Oslo,FALSE", "1e1,S,"]
    (tmp_path / "a.jsonl").write_text("\n".join([record([[row] for row in rows], [(0.9, 1)] * 3)] * 2))
    encoder = encoder_of({"features": KINDS}, kinds)
    (whole,) = read_data_capture(tmp_path, kinds, encoder)
    bad = [record([[row]], [(0.5, 0)]) for row in ("34,S", "x,S,true", "1,S,perhaps", "inf,S,true")]
    (tmp_path / "b.jsonl").write_text("\n".join([*bad, record([['7,"New\nYork, NY",on']], [(0.1, 0)])]))
    (slow,) = read_data_capture(tmp_path, kinds, encoder)
    known = [[34, 1, 1], [math.nan, OTHER, 0], [10, 2, math.nan]] * 2
    np.testing.assert_array_equal(whole.features, known)
    np.testing.assert_array_equal(slow.features, [*known, [7, 1, 1]])
    assert (whole.requests, whole.unreadable, slow.requests, slow.unreadable) == (2, 0, 7, 4)
