"""The model card: in SageMaker's schema, as the SageMaker SDK's own classes read it."""

import json
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from pipeline.jobs.evaluate.model_card import LONGEST, MOST_WEIGHTS, model_card

TOLD = {
    "purpose": "Who buys",
    "intended_uses": "",
    "factors": "Prices",
    "risk_rating": "Low",
    "risk_explanation": "",
    "ethics": "",
    "caveats": "Not for children",
}
EVALUATION: Any = {
    "rows": 40,
    "binary_classification_metrics": {
        "auc": {"value": 0.9, "standard_deviation": 0.01},
        "confusion_matrix": {"0": {"0": 20, "1": 1}},
    },
    "decision": {"accepted": True, "reason": "passes"},
}
BASELINE: Any = {"rows": {"read": 205, "refused": 5, "train": 120, "validation": 40, "holdout": 40}}
EXPLANATION: Any = {
    "scale": "log odds",
    "features": [
        {"name": "age", "kind": "numeric", "weight": [0.25]},
        {"name": "sex", "kind": "categorical", "levels": {"female": [1.5], "male": [-1.5]}},
    ],
}


@pytest.fixture
def told(settings):
    return replace(settings, card=TOLD, hyperparameters={"epochs": "5"})


def test_a_card_has_the_use_the_data_the_metrics_with_intervals_and_the_weights(told):
    told = replace(told, gate=replace(told.gate, minimum={"auc": 0.7}, maximum={}))
    assert model_card(EVALUATION, BASELINE, EXPLANATION, told) == {
        "intended_uses": {
            "purpose_of_model": "Who buys",
            "factors_affecting_model_efficiency": "Prices",
            "risk_rating": "Low",
        },
        "training_details": {
            "training_observations": f"binary_classifier of {told.target} by {len(told.features)} features; rows: "
            "train 120, validation 40, holdout 40",
            "training_job_details": {"hyper_parameters": [{"name": "epochs", "value": "5"}]},
        },
        "evaluation_details": [
            {
                "name": "hold-out",
                "evaluation_observation": "passes",
                "metric_groups": [
                    {
                        "name": "binary_classification_metrics",
                        "metric_data": [
                            {
                                "name": "auc",
                                "type": "number",
                                "value": 0.9,
                                "notes": "95 % interval: 0.8804 to 0.9196; the quality gate asks for at least 0.7",
                            }
                        ],
                    },
                    {
                        "name": "weights",
                        "metric_data": [
                            {"name": "age", "type": "number", "value": 0.25},
                            {"name": "sex=female", "type": "number", "value": 1.5},
                            {"name": "sex=male", "type": "number", "value": -1.5},
                        ],
                    },
                ],
            }
        ],
        "additional_information": {
            "caveats_and_recommendations": "Not for children",
            "custom_details": {
                "answers": f"classes: {', '.join(told.classes)}",
                "rows": "read 205, refused 5, train 120, validation 40, holdout 40",
                "weights": "3 of 3 on the scale: log odds",
            },
        },
    }


def test_a_card_compares_the_model_with_the_champion(told):
    compared = {"metric": "auc", "challenger": 0.91, "champion": 0.9, "interval": [-0.01, 0.03], "confidence": 0.95}
    card = model_card({**EVALUATION, "comparison": compared}, BASELINE, EXPLANATION, told)
    expected = "auc 0.91 against the champion's 0.9: the difference lies between -0.01 and 0.03 at 0.95"
    assert card["additional_information"]["custom_details"]["champion"] == expected


@pytest.mark.filterwarnings("ignore:You are using the SageMaker Python SDK v2")
def test_the_sdk_reads_the_card(told):
    sdk = import_module("sagemaker.model_card")
    card = model_card(EVALUATION, BASELINE, EXPLANATION, told)
    sdk.IntendedUses(**card["intended_uses"])
    sdk.TrainingDetails(**card["training_details"])
    sdk.AdditionalInformation(**card["additional_information"])
    (evaluation,) = (sdk.EvaluationJob(**each) for each in card["evaluation_details"])
    assert [group.name for group in evaluation.metric_groups] == ["binary_classification_metrics", "weights"]


def test_a_card_of_many_weights_and_a_long_reason_stays_small(told):
    features = [{"name": f"x{number}", "kind": "numeric", "weight": [0.1, 0.2, 0.3]} for number in range(1000)]
    evaluation = {**EVALUATION, "decision": {"accepted": False, "reason": "x" * 5000}}
    card = model_card(evaluation, BASELINE, {**EXPLANATION, "features": features}, told)
    assert len(json.dumps(card)) < 20_000
    (found,) = card["evaluation_details"]
    assert len(found["evaluation_observation"]) == LONGEST
    assert [each["name"] for each in found["metric_groups"][1]["metric_data"]][:2] == ["x0, class 0", "x0, class 1"]
    assert len(found["metric_groups"][1]["metric_data"]) == MOST_WEIGHTS
