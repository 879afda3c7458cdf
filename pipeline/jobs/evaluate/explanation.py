"""The model as a sum over its features, read from its artifact: explanation.json, by which answers are explained."""

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.arrow import Floats
from ..shared.artifact import Linear, read_linear
from ..shared.documents import Baseline, Categories, Distribution, Explanation, FeatureEffect
from ..shared.encoder import Encoder, Feature
from ..shared.settings import JobSettings

ARTIFACT = "model.tar.gz"
SCALES = {
    ("binary_classifier", "logistic"): "log odds",
    ("multiclass_classifier", "softmax_loss"): "log odds against the mean of all classes",
}
"""The scale on which a model's features add up, by predictor type and loss; a regressor's is the target's unit."""


def explained(model: Path | None, baseline: Baseline, encoder: Path | None, settings: JobSettings) -> Explanation:
    """Return the explanation of the model in the folder `model`; empty without one, or if it is of another algorithm.

    `encoder` is the folder of the encoder's artifact, if the model has one.
    """
    if model is None:
        return {}
    with (model / ARTIFACT).open("rb") as file:
        linear = read_linear(file)
    if linear is None:
        return {}
    features = features_of(settings.features, encoder / ARTIFACT if encoder else None)
    return explanation(linear, features, baseline, settings.predictor_type)


def explanation(linear: Linear, features: Sequence[Feature], baseline: Baseline, predictor: str) -> Explanation:
    """Return the effects of a model's features; empty if its scores are no function of a sum that a caller can read.

    `features` are those that the inputs are made of, in order.
    """
    scale = SCALES.get((predictor, linear.loss), "the target's unit" if predictor == "regressor" else "")
    width = sum(len(feature.columns) for feature in features)
    if not scale or width != len(linear.weights):
        return {}
    inputs, bias = np.array(linear.weights), np.array(linear.bias)
    if predictor == "multiclass_classifier":
        # A constant added to all classes changes no score.
        inputs, bias = inputs - inputs.mean(1, keepdims=True), bias - bias.mean()
    effects, at = [], 0
    for feature in features:
        effects.append(_effect(feature, inputs[at : at + len(feature.columns)], baseline["features"][feature.name]))
        at += len(feature.columns)
    base = bias + np.sum([effect["mean"] for effect in effects], axis=0)
    return {"scale": scale, "base": base.tolist(), "features": effects}


def features_of(names: Sequence[str], encoder: Path | None) -> Sequence[Feature]:
    """Return the features of a model: those of its encoder's model.tar.gz, else numbers of these names."""
    if encoder is None:
        return [Feature(name, "numeric") for name in names]
    with tarfile.open(encoder) as archive:
        file = archive.extractfile("encoder.json")
        return Encoder.from_json(file.read().decode() if file else "").features


def _effect(feature: Feature, weights: Floats, seen: Distribution | Categories) -> FeatureEffect:
    """Return a feature's effects; `weights` are of its encoded columns, shape (columns, outputs)."""
    kept, nothing = len(feature.levels), np.zeros(weights.shape[1])
    missing = weights[-1] if feature.indicator else nothing
    share = seen.get("missing", 0.0)
    found: dict[str, Any] = {"name": feature.name, "kind": feature.kind}
    if feature.kind == "categorical":
        found["levels"] = dict(zip(feature.levels, weights[:kept], strict=True))
        found["other"] = other = weights[kept] if feature.other else nothing
        counts = seen["levels"]  # type: ignore[typeddict-item]  # a categorical feature's have them
        known = sum(count * found["levels"].get(level, other) for level, count in counts.items())
        mean = known / max(1, sum(counts.values()))
    else:
        weight = found["weight"] = weights[0]
        missing = missing + weight * feature.median
        mean = weight * _mean(seen)
    found["missing"] = missing
    found["mean"] = (1 - share) * mean + share * missing
    return _plain(found)  # type: ignore[no-any-return]


def _mean(seen: Distribution | Categories) -> float:
    if "levels" in seen:
        return seen["levels"].get("true", 0) / max(1, sum(seen["levels"].values()))
    return seen["mean"]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
