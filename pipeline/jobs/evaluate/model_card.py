"""The model card, in SageMaker's schema for the card of a model package (Developer Guide, "Model cards")."""

from collections.abc import Iterator

from ..shared.documents import Baseline, CardGroup, CardMetric, Evaluation, Explanation, Metrics, ModelCard
from ..shared.metric_names import SECTIONS
from ..shared.settings import JobSettings

LONGEST = 2048
"""Characters of a text."""
MOST_WEIGHTS = 50
"""A card is part of the state machine's data, which has at most 256 KB (Step Functions quotas)."""
HALF = 1.96
"""Standard deviations in half of a 95 % interval."""


def model_card(
    evaluation: Evaluation, baseline: Baseline, explanation: Explanation, settings: JobSettings
) -> ModelCard:
    """Return the card of an evaluated model: its use from the settings, its data, its metrics and its weights."""
    told, rows, decision = settings.card, baseline["rows"], evaluation["decision"]
    section = evaluation[SECTIONS[settings.predictor_type]]
    weights = list(_weights(explanation))
    groups: list[CardGroup] = [
        {"name": SECTIONS[settings.predictor_type], "metric_data": list(_metrics(section, settings))},
        {"name": "weights", "metric_data": weights[:MOST_WEIGHTS]},
    ]
    parts = ", ".join(f"{part} {rows[part]}" for part in settings.shares)
    about = f"{settings.predictor_type} of {settings.target} by {len(settings.features)} features; rows: {parts}"
    answers = f"classes: {', '.join(settings.classes)}" if settings.classes else "a number"
    details = {
        "answers": answers,
        **_against_champion(evaluation),
        "rows": ", ".join(f"{what} {count}" for what, count in rows.items()),
        "weights": f"{min(len(weights), MOST_WEIGHTS)} of {len(weights)} on the scale: {explanation.get('scale', '')}",
    }
    parameters = [{"name": name, "value": value} for name, value in settings.hyperparameters.items()]
    return {
        "intended_uses": _told(
            purpose_of_model=told["purpose"],
            intended_uses=told["intended_uses"],
            factors_affecting_model_efficiency=told["factors"],
            explanations_for_risk_rating=told["risk_explanation"],
            risk_rating=told["risk_rating"],
        ),
        "training_details": {
            "training_observations": _text(about),
            "training_job_details": {"hyper_parameters": parameters},
        },
        "evaluation_details": [
            {
                "name": "hold-out",
                "evaluation_observation": _text(decision["reason"]),
                "metric_groups": [group for group in groups if group["metric_data"]],
            }
        ],
        "additional_information": {
            **_told(ethical_considerations=told["ethics"], caveats_and_recommendations=told["caveats"]),
            "custom_details": {name: _text(text) for name, text in details.items()},
        },
    }


def _against_champion(evaluation: Evaluation) -> dict[str, str]:
    if "comparison" not in evaluation:
        return {}
    compared = evaluation["comparison"]
    both = f"{compared['metric']} {compared['challenger']:.4g} against the champion's {compared['champion']:.4g}"
    low, high = compared["interval"]
    return {"champion": f"{both}: the difference lies between {low:.4g} and {high:.4g} at {compared['confidence']:g}"}


def _told(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _text(text: str) -> str:
    return text[:LONGEST]


def _metrics(section: Metrics, settings: JobSettings) -> Iterator[CardMetric]:
    """Yield each metric with its 95 % interval and its threshold."""
    for name, found in section.items():
        value, spread = found.get("value"), found.get("standard_deviation")
        if not isinstance(value, float) or not isinstance(spread, float):
            continue
        notes = f"95 % interval: {value - HALF * spread:.4g} to {value + HALF * spread:.4g}"
        for side, bounds in (("at least", settings.gate.minimum), ("at most", settings.gate.maximum)):
            if name in bounds:
                notes += f"; the quality gate asks for {side} {bounds[name]:g}"
        yield {"name": name, "type": "number", "value": value, "notes": notes}


def _weights(explanation: Explanation) -> Iterator[CardMetric]:
    """Yield what a unit of each number, and each level, adds to the score, by output of the model."""
    for feature in explanation.get("features", []):
        levels = feature.get("levels", {})
        effects = {f"{feature['name']}={level}": effect for level, effect in levels.items()}
        for name, effect in (effects or {feature["name"]: feature.get("weight", [])}).items():
            for output, weight in enumerate(effect):
                of_class = f", class {output}" if len(effect) > 1 else ""
                yield {"name": name + of_class, "type": "number", "value": weight}
