"""The weights of a linear learner's model, read from its artifact without MXNet."""

import io
import math
import struct
import tarfile
import zipfile
from dataclasses import dataclass
from urllib.parse import urlsplit

from ops.account import Account

LIST_MAGIC, ARRAY_MAGICS = 0x112, (0xF993FAC9, 0xF993FACA)
"""MXNet's marks of a list of arrays and of a dense array (its `ndarray.cc`)."""


@dataclass(frozen=True)
class Coefficient:
    """A weight on a raw feature, of one of the model's outputs; `effect` is that of one standard deviation."""

    feature: str
    output: int
    weight: float
    effect: float


def coefficients(
    account: Account, artifact: str, features: tuple[str, ...], spread: dict[str, float]
) -> list[Coefficient]:
    """Every weight, the largest effect first; none when the artifact is of another algorithm.

    `artifact` is the S3 URI of model.tar.gz, `spread` the standard deviation of each feature.
    """
    uri = urlsplit(artifact)
    body = account.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
    try:
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            member = next(entry for entry in archive if entry.name.startswith("model_algo-"))
            file = archive.extractfile(member)
            inner = file.read() if file else b""
        with zipfile.ZipFile(io.BytesIO(inner)) as model:
            shape, weights = _weights(model.read("mx-mod-0000.params"))
    except (StopIteration, KeyError, ValueError, struct.error, tarfile.TarError, zipfile.BadZipFile):
        return []
    outputs = shape[1] if len(shape) > 1 else 1
    if len(weights) != len(features) * outputs:
        return []
    named = ((features[number // outputs], number % outputs, weight) for number, weight in enumerate(weights))
    found = (Coefficient(name, output, weight, weight * spread.get(name, 1.0)) for name, output, weight in named)
    return sorted(found, key=lambda line: -abs(line.effect))


def _weights(data: bytes) -> tuple[tuple[int, ...], list[float]]:
    """Shape and values of `fc0_weight`. Raises ValueError or struct.error."""
    magic, _, count = struct.unpack_from("<QQQ", data)
    if magic != LIST_MAGIC:
        raise ValueError("no list of arrays")
    at, arrays = 24, []
    for _ in range(count):
        kind, storage, dimensions = struct.unpack_from("<IiI", data, at)
        shape = struct.unpack_from(f"<{dimensions}q", data, at + 12)
        at += 12 + 8 * dimensions + 12  # the device's two numbers and the type follow the shape
        (kind_of_number,) = struct.unpack_from("<i", data, at - 4)
        if kind not in ARRAY_MAGICS or storage != 0 or kind_of_number != 0:
            raise ValueError("an array that is not dense and of float32")
        size = math.prod(shape)
        arrays.append((shape, list(struct.unpack_from(f"<{size}f", data, at))))
        at += 4 * size
    (named,) = struct.unpack_from("<Q", data, at)
    at += 8
    for number in range(named):
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        if data[at - length : at].endswith(b"fc0_weight"):
            return arrays[number]
    raise ValueError("no fc0_weight")
