"""The weights of a linear learner's model, read from its artifact without MXNet."""

import io
import json
import math
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.account import Account

LIST_MAGIC, ARRAY_MAGICS = 0x112, (0xF993FAC9, 0xF993FACA)
"""MXNet's marks of a list of arrays and of a dense array (its `ndarray.cc`)."""


@dataclass(frozen=True)
class Coefficient:
    """A weight on an input, of one of the model's outputs; `effect` is that of one standard deviation.

    An input is a feature, or a column that it is encoded as, such as "sex=female" or "age=missing".
    """

    feature: str
    output: int
    weight: float
    effect: float


def coefficients(
    account: Account, artifact: str, columns: Sequence[str], spread: dict[str, float]
) -> list[Coefficient]:
    """Every weight, the largest effect first; none when the artifact is of another algorithm.

    `artifact` is the S3 URI of model.tar.gz, `columns` name its inputs, `spread` their standard deviations.
    """
    try:
        with _archive(account, artifact) as archive:
            file = archive.extractfile(next(entry for entry in archive if entry.name.startswith("model_algo-")))
            with zipfile.ZipFile(file or io.BytesIO()) as model:
                shape, weights = _weights(model.read("mx-mod-0000.params"))
    except (StopIteration, KeyError, ValueError, struct.error, tarfile.TarError, zipfile.BadZipFile):
        return []
    outputs = shape[1] if len(shape) > 1 else 1
    if len(weights) != len(columns) * outputs:
        return []
    named = ((columns[number // outputs], number % outputs, weight) for number, weight in enumerate(weights))
    found = (Coefficient(name, output, weight, weight * spread.get(name, 1.0)) for name, output, weight in named)
    return sorted(found, key=lambda line: -abs(line.effect))


def encoded_columns(account: Account, artifact: str) -> list[str]:
    """The names of the columns that an encoder makes; `artifact` is the S3 URI of its model.tar.gz."""
    with _archive(account, artifact) as archive:
        file = archive.extractfile("encoder.json")
        return list(json.load(file)["columns"]) if file else []


def spreads(columns: Sequence[str], baseline: dict[str, Any]) -> dict[str, float]:
    """The standard deviation of each column that a baseline's features are encoded as."""
    found: dict[str, float] = {}
    for name, each in baseline.get("features", {}).items():
        missing = each.get("missing", 0.0)
        shares = {f"{name}=missing": missing}
        if "levels" in each:
            rows = sum(each["levels"].values()) / (1 - missing)
            levels = {f"{name}={level}": count / rows for level, count in each["levels"].items()}
            rest = sum(share for level, share in levels.items() if level not in columns)
            shares |= {**levels, f"{name}=other": rest, name: levels.get(f"{name}=true", 0.0)}
        else:
            found[name] = each["standard_deviation"]
        found |= {column: math.sqrt(max(0.0, share * (1 - share))) for column, share in shares.items()}
    return found


def _archive(account: Account, artifact: str) -> tarfile.TarFile:
    uri = urlsplit(artifact)
    body = account.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
    return tarfile.open(fileobj=io.BytesIO(body))


def _weights(data: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and values of `fc0_weight`. Raises ValueError, struct.error or StopIteration."""
    stream = io.BytesIO(data)

    def take(form: str) -> tuple[Any, ...]:
        return struct.unpack(form, stream.read(struct.calcsize(form)))

    magic, _, count = take("<QQQ")
    if magic != LIST_MAGIC:
        raise ValueError("no list of arrays")
    arrays = []
    for _ in range(count):
        kind, storage, dimensions = take("<IiI")
        shape = take(f"<{dimensions}q")
        _, _, number = take("<3i")  # the device's two numbers, and the type
        if kind not in ARRAY_MAGICS or (storage, number) != (0, 0):
            raise ValueError("an array that is not dense and of float32")
        arrays.append((shape, take(f"<{math.prod(shape)}f")))
    (named,) = take("<Q")
    names = [stream.read(*take("<Q")) for _ in range(named)]
    return next(array for name, array in zip(names, arrays, strict=True) if name.endswith(b"fc0_weight"))
