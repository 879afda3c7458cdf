"""`model_algo-1`, the file in model.tar.gz, as SageMaker's container writes and reads it.

A ZIP without compression: an MXNet symbol, a manifest, additional-params.json and MXNet's little-endian list of arrays.
The layout was read from an artifact that AWS trained (in amazon-sagemaker-examples, model bias monitoring).
"""

import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from local_aws.linear_learner.common import ClientError, Floats
from local_aws.linear_learner.hyperparameters import BINARY, MULTICLASS, REGRESSOR, Config

NAME = "model_algo-1"
_SYMBOL, _MANIFEST = "mx-mod-symbol.json", "manifest.json"
_ADDITIONAL, _ARRAYS = "additional-params.json", "mx-mod-0000.params"
_LIST_MAGIC, _ARRAY_MAGICS = 0x112, (0xF993FAC9, 0xF993FACA)
_TYPES = {0: "<f4", 1: "<f8"}
_OUTPUTS = {BINARY: "LogisticRegressionOutput", MULTICLASS: "SoftmaxOutput", REGRESSOR: "LinearRegressionOutput"}


@dataclass(frozen=True)
class Model:
    """A linear model on raw features: weights (features, outputs) and bias (outputs,).

    A row is positive from the score `threshold` on, None unless it is a binary classifier; `metrics` is metrics_params.
    """

    weights: Floats
    bias: Floats
    predictor_type: str
    loss: str
    threshold: float | None
    metrics: dict[str, Any]


def metrics_params(config: Config, threshold: float | None, class_weights: list[float] | None) -> dict[str, Any]:
    """The parameters of the metrics, null where the loss has no use for them."""
    loss = str(config["loss"])
    needed = {
        "quantile": loss == "quantile_loss",
        "huber_delta": loss == "huber_loss",
        "margin": loss == "hinge_loss",
        "loss_insensitivity": loss.startswith("eps_insensitive"),
    }
    losses = {name: config[name] if used else None for name, used in needed.items()}
    kind = loss.removeprefix("eps_insensitive_") if needed["loss_insensitivity"] else None
    names = ("accuracy_top_k", "f_beta", "positive_example_weight_mult")
    kept = {name: config[name] for name in names}
    return {**losses, "eps_insensitive_loss_type": kind, **kept, "class_weights": class_weights, "threshold": threshold}


def write(model: Model, folder: Path) -> Path:
    """Write `folder/model_algo-1`; the same model gives the same bytes."""
    additional = {
        "threshold": model.threshold,
        "loss_type": model.loss,
        "predictor_type": model.predictor_type,
        "metrics_params": model.metrics,
    }
    weights, bias = model.weights.astype("<f4"), model.bias.astype("<f4").reshape(1, -1)
    template = Template(Path(__file__).with_name("symbol.json").read_text(encoding="utf-8"))
    symbol = template.substitute(shape=weights.shape, outputs=len(bias.T), output=_OUTPUTS[model.predictor_type])
    members = {
        _SYMBOL: symbol.encode(),
        _MANIFEST: json.dumps({"mx-mod": "mxnet_module", _ADDITIONAL: "json", "version": 1}).encode(),
        _ADDITIONAL: json.dumps(additional).encode(),
        _ARRAYS: _pack({"arg:fc0_weight": weights, "arg:fc0_bias": bias}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return folder / NAME


def read(folder: Path) -> Model:
    """Read the model in `folder`. Raises ClientError: there is none, or it is not one of the linear learner's."""
    found = sorted(folder.glob("model_algo-*"))
    if not found:
        raise ClientError(f"unable to load model: no {NAME} in {folder}")
    try:
        with zipfile.ZipFile(found[0]) as archive:
            additional = json.loads(archive.read(_ADDITIONAL))
            arrays = _unpack(archive.read(_ARRAYS))
        weights, bias = arrays["arg:fc0_weight"], arrays["arg:fc0_bias"].reshape(-1)
        kind, threshold = additional["predictor_type"], additional["threshold"]
        if kind not in _OUTPUTS or (kind == BINARY and threshold is None):
            raise ValueError(f"predictor_type {kind} with threshold {threshold}")
        weights = weights.reshape(-1, len(bias))
        return Model(weights, bias, kind, additional["loss_type"], threshold, additional.get("metrics_params", {}))
    except (KeyError, ValueError, struct.error, zipfile.BadZipFile) as error:
        raise ClientError(f"unable to load model: {found[0]} is not a linear learner's model: {error}") from error


def _pack(arrays: dict[str, Floats]) -> bytes:
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for array in arrays.values():
        head = struct.pack(f"<IiI{array.ndim}q", _ARRAY_MAGICS[0], 0, array.ndim, *array.shape)
        parts += [head, struct.pack("<iii", 1, 0, 0), array.tobytes()]
    parts.append(struct.pack("<Q", len(arrays)))
    parts += [struct.pack("<Q", len(name)) + name.encode() for name in arrays]
    return b"".join(parts)


def _unpack(data: bytes) -> dict[str, Floats]:
    """The arrays by name. Raises ValueError or struct.error when `data` is no list of dense arrays."""
    at = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values

    magic, _, count = take("QQQ")
    if magic != _LIST_MAGIC:
        raise ValueError(f"{_ARRAYS} does not begin as a list of arrays")
    arrays = []
    for _ in range(count):
        kind, storage, dimensions = take("IiI")
        if kind not in _ARRAY_MAGICS or storage != 0 or dimensions > 2:
            raise ValueError(f"{_ARRAYS} has an array that is not dense")
        shape = take(f"{dimensions}q")
        *_, dtype = take("iii")
        values = np.frombuffer(data, _TYPES[dtype], int(np.prod(shape)), at)
        at += values.nbytes
        arrays.append(values.reshape(shape).astype(np.float32))
    names = []
    for _ in range(*take("Q")):
        (length,) = take("Q")
        names.append(data[at : at + length].decode())
        at += length
    return dict(zip(names, arrays, strict=True))
