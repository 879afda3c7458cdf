"""The SageMaker SDK's own writer and reader of recordio-protobuf, the second opinion on ours."""

import importlib
import io
import warnings
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    common: Any = importlib.import_module("sagemaker.amazon.common")
    from sagemaker.amazon.record_pb2 import Record

Array = NDArray[np.floating[Any]]


def dense(features: Array, labels: Array) -> bytes:
    file = io.BytesIO()
    common.write_numpy_to_dense_tensor(file, features, labels)
    return file.getvalue()


def sparse(features: Array, labels: Array) -> bytes:
    file = io.BytesIO()
    common.write_spmatrix_to_sparse_tensor(file, scipy.sparse.csr_matrix(features), labels)
    return file.getvalue()


def labels_of(data: bytes) -> list[dict[str, list[float]]]:
    """The labels of each record by name."""
    records = [Record.FromString(record) for record in common.read_recordio(io.BytesIO(data))]
    return [{name: list(value.float32_tensor.values) for name, value in r.label.items()} for r in records]
