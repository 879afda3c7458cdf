"""RecordIO-protobuf against the SageMaker SDK's writer."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_aws.linear_learner import recordio

from .data import split
from .jobs import lay_out, refused, trained, unpack
from .sdk import dense, sparse

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(20, 300)).astype(np.float32) * (RANDOM.random((20, 300)) < 0.1)
LABELS = np.arange(20, dtype=np.float32)


@pytest.mark.parametrize("write", [dense, sparse])
def test_dense_and_sparse_records_are_the_same_rows(write: Callable[..., bytes]) -> None:
    data = write(FEATURES, LABELS)
    assert np.array_equal(recordio.parse(data, labelled=True), np.column_stack([LABELS, FEATURES]))
    assert np.array_equal(recordio.parse(data), FEATURES)
    mixed = dense(FEATURES[:10], LABELS[:10]) + sparse(FEATURES[10:], LABELS[10:])
    assert np.array_equal(recordio.parse(mixed), FEATURES)


def test_blocks_end_where_records_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordio, "BLOCK_BYTES", 1000)
    data = dense(FEATURES[:10], LABELS[:10]) + sparse(FEATURES[10:], LABELS[10:])
    blocks = list(recordio.blocks(io.BytesIO(data), Path("part-0")))
    assert len(blocks) > 5
    assert np.array_equal(np.concatenate(blocks), np.column_stack([LABELS, FEATURES]))


def test_training_from_recordio_is_training_from_csv(tmp_path: Path) -> None:
    table = split("wdbc").train.astype(np.float32)
    given = {"predictor_type": "binary_classifier", "mini_batch_size": 32}
    trained(lay_out(tmp_path / "csv", {"train": table.astype(np.float64)}, **given))
    for content_type in (None, "application/x-recordio-protobuf"):
        trained(lay_out(tmp_path / "recordio", {"train": dense(table[:, 1:], table[:, 0])}, content_type, **given))
        assert np.array_equal(unpack(tmp_path / "csv").weights, unpack(tmp_path / "recordio").weights)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (dense(FEATURES.astype(np.float64), LABELS), "record 1: its tensor is float64; write Float32 tensors"),
        (dense(FEATURES, LABELS)[:-10], "record 20: it is cut off"),
        (dense(FEATURES[:2], LABELS[:2]) + dense(FEATURES[:, :5], LABELS), "record 3: 6 values after records of 301"),
        (dense(np.full_like(FEATURES, np.inf), LABELS), "record 1: not finite"),
    ],
)
def test_records_that_are_none_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    root = lay_out(tmp_path, {"train": data}, None, predictor_type="regressor", mini_batch_size=1)
    assert refused(root).startswith(f"ClientError: Unable to read {tmp_path}/input/data/train/part-0: {reason}")
