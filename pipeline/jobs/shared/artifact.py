"""The linear learner's artifact, read without MXNet: model.tar.gz with a ZIP, which has a list of MXNet's arrays.

By the standard library alone, as the report reads it, too.
"""

import io
import json
import math
import struct
import tarfile
import zipfile
from dataclasses import dataclass
from typing import IO, Any

LIST_MAGIC, ARRAY_MAGICS = 0x112, (0xF993FAC9, 0xF993FACA)
"""MXNet's marks of a list of arrays and of a dense array (its `ndarray.cc`)."""


@dataclass(frozen=True)
class Linear:
    """A linear model: a row of `weights` per input, with one for each output, a `bias` per output, and its loss."""

    weights: list[tuple[float, ...]]
    bias: tuple[float, ...]
    loss: str


def read_linear(artifact: IO[bytes]) -> Linear | None:
    """Return the model of a model.tar.gz; None if it is of another algorithm."""
    try:
        with tarfile.open(fileobj=artifact) as archive:
            file = archive.extractfile(next(entry for entry in archive if entry.name.startswith("model_algo-")))
            with zipfile.ZipFile(file or io.BytesIO()) as model:
                arrays = _arrays(model.read("mx-mod-0000.params"))
                loss = json.loads(model.read("additional-params.json"))["loss_type"]
        values, bias = arrays["arg:fc0_weight"], arrays["arg:fc0_bias"]
    except (StopIteration, KeyError, ValueError, struct.error, tarfile.TarError, zipfile.BadZipFile):
        return None
    return Linear(list(zip(*[iter(values)] * len(bias), strict=True)), bias, loss)


def _arrays(data: bytes) -> dict[str, tuple[float, ...]]:
    """Return the values of each array by name. Raises ValueError or struct.error: it is no list of dense float32."""
    stream = io.BytesIO(data)

    def take(layout: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{layout}", stream.read(struct.calcsize(f"<{layout}")))

    magic, _, count = take("QQQ")
    if magic != LIST_MAGIC:
        raise ValueError("no list of arrays")
    arrays = []
    for _ in range(count):
        kind, storage, dimensions = take("IiI")
        shape = take(f"{dimensions}q")
        _, _, number = take("3i")  # the device's two numbers, and the type
        if kind not in ARRAY_MAGICS or (storage, number) != (0, 0):
            raise ValueError("an array that is not dense and of float32")
        arrays.append(take(f"{math.prod(shape)}f"))
    (named,) = take("Q")
    names = [stream.read(*take("Q")).decode() for _ in range(named)]
    return dict(zip(names, arrays, strict=True))
