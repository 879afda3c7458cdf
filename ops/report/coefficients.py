"""The weights of a linear learner's model, read from its artifact without MXNet."""

import io
import math
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ops.account import Account
from pipeline.jobs.shared.artifact import read_linear

if TYPE_CHECKING:
    from pipeline.jobs.shared.encoder import Feature


@dataclass(frozen=True)
class Coefficient:
    """A weight on an input, of one of the model's outputs; `effect` is that of one standard deviation.

    An input is a feature, or a column that it is encoded as, such as "sex=female" or "age (missing)".
    """

    feature: str
    output: int
    weight: float
    effect: float


def coefficients(
    account: Account, artifact: str, features: "Sequence[Feature]", baseline: dict[str, Any]
) -> list[Coefficient]:
    """Every weight, the largest effect first; none when the artifact is of another algorithm.

    `artifact` is the S3 URI of model.tar.gz, its inputs are made of `features` in order, and `baseline` has their data.
    """
    with _body(account, artifact) as file:
        linear = read_linear(file)
    columns = [column for feature in features for column in feature.columns]
    if linear is None or len(linear.weights) != len(columns):
        return []
    seen = baseline.get("features", {})
    spreads = [spread for feature in features for spread in _spreads(feature, seen.get(feature.name))]
    found = (
        Coefficient(name, output, weight, weight * spread)
        for name, spread, weights in zip(columns, spreads, linear.weights, strict=True)
        for output, weight in enumerate(weights)
    )
    return sorted(found, key=lambda line: -abs(line.effect))


def features_of(account: Account, encoder: str, names: Sequence[str]) -> "Sequence[Feature]":
    """The features of an encoder, by the S3 URI of its model.tar.gz; without one they are numbers of these names."""
    from pipeline.jobs.shared.encoder import Encoder, Feature  # noqa: PLC0415 - imports pyarrow, as in drift.py

    if not encoder:
        return [Feature(name, "numeric") for name in names]
    with _body(account, encoder) as body, tarfile.open(fileobj=body) as archive:
        file = archive.extractfile("encoder.json")
        return Encoder.from_json(file.read().decode()).features if file else ()


def _spreads(feature: "Feature", seen: dict[str, Any] | None) -> list[float]:
    """Return the standard deviation of each column that a feature is encoded as; 1 if its data is not known."""
    if seen is None:
        return [1.0] * len(feature.columns)
    missing = seen.get("missing", 0.0)
    if "levels" not in seen:
        spreads, shares = [seen["standard_deviation"]], list[float]()
    else:
        levels = seen["levels"]
        kept = feature.levels if feature.kind == "categorical" else ("true",)
        counts = [levels.get(level, 0) for level in kept]
        if feature.other:
            counts.append(sum(levels.values()) - sum(counts))
        rows = max(1, sum(levels.values()))
        spreads, shares = [], [(1 - missing) * count / rows for count in counts]
    if feature.indicator:
        shares.append(missing)
    return spreads + [math.sqrt(max(0.0, share * (1 - share))) for share in shares]


def _body(account: Account, artifact: str) -> io.BytesIO:
    uri = urlsplit(artifact)
    return io.BytesIO(account.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read())
