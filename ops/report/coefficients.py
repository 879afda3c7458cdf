"""The weights of a linear learner's model, read from its artifact without MXNet."""

import io
import json
import math
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.account import Account
from pipeline.jobs.shared.artifact import read_linear


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
    with _body(account, artifact) as file:
        linear = read_linear(file)
    if linear is None or len(linear.weights) != len(columns):
        return []
    named = zip(columns, linear.weights, strict=True)
    found = (
        Coefficient(name, output, weight, weight * spread.get(name, 1.0))
        for name, weights in named
        for output, weight in enumerate(weights)
    )
    return sorted(found, key=lambda line: -abs(line.effect))


def encoded_columns(account: Account, artifact: str) -> list[str]:
    """The names of the columns that an encoder makes; `artifact` is the S3 URI of its model.tar.gz."""
    with _body(account, artifact) as body, tarfile.open(fileobj=body) as archive:
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


def _body(account: Account, artifact: str) -> io.BytesIO:
    uri = urlsplit(artifact)
    return io.BytesIO(account.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read())
