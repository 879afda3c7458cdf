"""What each feature adds to a model's score of a row: exact, as the model is linear.

The effects are those of explanation.json (pipeline/jobs/evaluate/explanation.py), which the run read from its model.
"""

import csv
import math
from typing import Any, TypedDict

from .rows import Row, Signature

TOLERANCE = 1e-4
"""Between a score and the one that its explanation gives: the container adds float32 numbers."""
Document = dict[str, Any]
"""explanation.json."""
Score = float | list[float]
"""A multiclass model has a score per class."""


class Contribution(TypedDict):
    """What a feature's value adds to a score, against the mean of the data that the model was trained on."""

    feature: str
    value: float | bool | str | None
    effect: float


class Explained(TypedDict):
    """On `scale` a score is the sum of `base`, the effects of `contributions`, and `rest`, that of all others."""

    scale: str
    score: float
    base: float
    contributions: list[Contribution]
    rest: float


def closest(documents: list[Document], signature: Signature, rows: list[Row], scores: list[Score]) -> Document | None:
    """Return the explanation of the model that gave the scores; None if it is none of these.

    Production variants of the same signature have the same name, so only the scores say which model answered.
    """
    fitting = [each for each in documents if [found["name"] for found in each["features"]] == signature.features]
    apart = {number: _apart(each, signature, rows, scores) for number, each in enumerate(fitting)}
    nearest = min(apart, key=apart.__getitem__, default=None)
    return None if nearest is None or apart[nearest] > TOLERANCE else fitting[nearest]


def explained(document: Document, signature: Signature, row: Row, most: int) -> Explained:
    """Return the explanation of a row's score with the `most` largest contributions, the largest first.

    A multiclass model's is of its predicted class.
    """
    values = _values(row, signature)
    effects = _effects(document, values)
    sums = _sums(document, effects)
    output = sums.index(max(sums))
    contributions: list[Contribution] = [
        {"feature": name, "value": value, "effect": effect[output]}
        for name, value, effect in zip(signature.features, values, effects, strict=True)
    ]
    contributions.sort(key=lambda each: -abs(each["effect"]))
    return {
        "scale": document["scale"],
        "score": sums[output],
        "base": document["base"][output],
        "contributions": contributions[:most],
        "rest": math.fsum(each["effect"] for each in contributions[most:]),
    }


def _apart(document: Document, signature: Signature, rows: list[Row], scores: list[Score]) -> float:
    """Return the largest distance between the scores and those of the document, as a share of the largest of a row."""
    found = 0.0
    for row, score in zip(rows, scores, strict=True):
        own = _score(_sums(document, _effects(document, _values(row, signature))), signature.predictor_type)
        given = score if isinstance(score, list) else [score]
        if len(own) != len(given):
            return math.inf
        largest = max(1.0, *map(abs, own))
        found = max(found, *(abs(one - other) / largest for one, other in zip(own, given, strict=True)))
    return found


def _values(row: Row, signature: Signature) -> list[float | bool | str | None]:
    """Return the values of a raw row; None where one is missing."""
    (cells,) = csv.reader([row])
    kinds = (kind for kind, _ in signature.columns)
    return [_value(cell, kind) for cell, kind in zip(cells, kinds, strict=True)]


def _value(cell: str, kind: str) -> float | bool | str | None:
    if not cell:
        return None
    return float(cell) if kind == "numeric" else cell == "true" if kind == "boolean" else cell


def _effects(document: Document, values: list[float | bool | str | None]) -> list[list[float]]:
    """Return what each value adds to each output, against the mean."""
    return [_effect(feature, value) for feature, value in zip(document["features"], values, strict=True)]


def _effect(feature: Document, value: float | bool | str | None) -> list[float]:
    if value is None:
        added = feature["missing"]
    elif feature["kind"] == "categorical":
        added = feature["levels"].get(value, feature["other"])
    else:
        added = [weight * value for weight in feature["weight"]]
    return [each - mean for each, mean in zip(added, feature["mean"], strict=True)]


def _sums(document: Document, effects: list[list[float]]) -> list[float]:
    """Return the sum of each output."""
    return [math.fsum(each) for each in zip(document["base"], *effects, strict=True)]


def _score(sums: list[float], predictor_type: str) -> list[float]:
    """Return the score, or the score of each class, of a model with these sums."""
    if predictor_type == "regressor":
        return sums
    if predictor_type == "binary_classifier":
        return [0.5 + 0.5 * math.tanh(sums[0] / 2)]
    shares = [math.exp(each - max(sums)) for each in sums]
    return [share / sum(shares) for share in shares]
