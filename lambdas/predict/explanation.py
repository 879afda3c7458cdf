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
Value = float | bool | str | None


class Contribution(TypedDict):
    """What a feature's value adds to a score, against the mean of the data that the model was trained on."""

    feature: str
    value: Value
    effect: float


class Explained(TypedDict):
    """On `scale` a score is the sum of `base`, the effects of `contributions`, and `rest`, that of all others."""

    scale: str
    score: float
    base: float
    contributions: list[Contribution]
    rest: float


def explained(
    documents: list[Document], signature: Signature, rows: list[Row], scores: list[Score], most: int
) -> list[Explained] | None:
    """Return an explanation per score, of the model that gave them all; None if it is of none of these documents.

    Production variants of the same signature have the same name, so only the scores say which model answered.
    """
    values = [_values(row, signature) for row in rows]
    nearest, least = None, TOLERANCE
    columns = [(name, kind) for name, (kind, _) in zip(signature.features, signature.columns, strict=True)]
    for document in documents:
        if [(feature["name"], feature["kind"]) for feature in document["features"]] == columns:
            effects = [_effects(document, each) for each in values]
            sums = [_sums(document, each) for each in effects]
            apart = _apart([_score(each, signature.predictor_type) for each in sums], scores)
            if apart <= least:
                nearest, least = (document, effects, sums), apart
    if nearest is None:
        return None
    document, effects, sums = nearest
    return [
        _explained(document, dict(zip(signature.features, zip(*of_row, strict=True), strict=True)), total, most)
        for *of_row, total in zip(values, effects, sums, strict=True)
    ]


def explained_row(document: Document, signature: Signature, row: Row, most: int) -> Explained:
    """Return the explanation of a row by a model of the signature, with the `most` largest contributions."""
    values = _values(row, signature)
    effects = _effects(document, values)
    features = dict(zip(signature.features, zip(values, effects, strict=True), strict=True))
    return _explained(document, features, _sums(document, effects), most)


def _explained(
    document: Document, features: dict[str, tuple[Value, list[float]]], sums: list[float], most: int
) -> Explained:
    """Return the explanation of a row with the `most` largest contributions, the largest first.

    `features` are the value of each and its effects. A multiclass model's explanation is of its predicted class.
    """
    output = sums.index(max(sums))
    contributions: list[Contribution] = [
        {"feature": name, "value": value, "effect": effect[output]} for name, (value, effect) in features.items()
    ]
    contributions.sort(key=lambda each: -abs(each["effect"]))
    return {
        "scale": document["scale"],
        "score": sums[output],
        "base": document["base"][output],
        "contributions": contributions[:most],
        "rest": math.fsum(each["effect"] for each in contributions[most:]),
    }


def _apart(own: list[list[float]], scores: list[Score]) -> float:
    """Return the largest distance between a model's own scores and these, as a share of the largest of a row."""
    found = 0.0
    for ours, score in zip(own, scores, strict=True):
        theirs = score if isinstance(score, list) else [score]
        if len(ours) != len(theirs):
            return math.inf
        largest = max(1.0, *map(abs, ours))
        found = max(found, *(abs(one - other) / largest for one, other in zip(ours, theirs, strict=True)))
    return found


def _values(row: Row, signature: Signature) -> list[Value]:
    """Return the values of a raw row; None where one is missing."""
    (cells,) = csv.reader([row])
    kinds = (kind for kind, _ in signature.columns)
    return [_value(cell, kind) for cell, kind in zip(cells, kinds, strict=True)]


def _value(cell: str, kind: str) -> Value:
    if not cell:
        return None
    return float(cell) if kind == "numeric" else cell == "true" if kind == "boolean" else cell


def _effects(document: Document, values: list[Value]) -> list[list[float]]:
    """Return what each value adds to each output, against the mean."""
    return [_effect(feature, value) for feature, value in zip(document["features"], values, strict=True)]


def _effect(feature: Document, value: Value) -> list[float]:
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
