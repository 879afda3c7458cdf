"""The parts of a table: which rows the encoder learns from, and the files that each part is written to."""

import numpy as np

from pipeline.jobs.preprocess import split
from pipeline.jobs.preprocess.parts import Parts
from pipeline.jobs.preprocess.records import Ordered
from pipeline.jobs.preprocess.split import SplitWriter
from tests.pipeline.jobs.conftest import read_rows


def test_what_is_learned_from_is_train_alone(settings, shop):
    rows, _ = read_rows(shop, settings)
    parts, ordered = Parts(settings), Ordered(rows, np.argsort(rows.keys))
    by_name = {name: set(of_part.keys.tolist()) for name, of_part in parts.split(ordered)}
    assert set(rows.keys[parts.in_train(rows)].tolist()) == by_name["train"]
    assert all(len(keys) > 5 for keys in by_name.values())


def test_a_part_goes_on_in_a_new_file_once_the_last_one_is_large(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(split, "SHARD_BYTES", 10)
    writer = SplitWriter(tmp_path, "algo-1", settings)
    for part, texts, rows in (
        ("train", [b"1,2\n3,4\n"], 2),
        ("holdout", [b"a\n", b"1\n"], 1),
        ("train", [b"5,6\n"], 1),
        ("train", [b"7,8\n"], 1),
    ):
        writer.write(part, texts, rows)
    writer.close()
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "train-00000-algo-1.csv": b"1,2\n3,4\n5,6\n",
        "train-00001-algo-1.csv": b"7,8\n",
        "holdout-00000-algo-1.jsonl": b"a\n",
        "labels-00000-algo-1.jsonl": b"1\n",
    }
    assert writer.shards == [("train", 0, 3), ("holdout", 0, 1), ("train", 1, 1)]
