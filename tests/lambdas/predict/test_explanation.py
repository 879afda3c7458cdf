"""Explanations: the job reads the effects from an artifact, and the API's contributions add up to the model's score."""

import csv
import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_aws.linear_learner.artifact import Model, write
from local_aws.linear_learner.predict import predict

from lambdas.predict.api import Api
from lambdas.predict.explanation import explained
from lambdas.predict.rows import Signature
from pipeline.jobs.evaluate.explanation import explanation, features_of
from pipeline.jobs.preprocess.encoding import write_model
from pipeline.jobs.shared.artifact import Linear, read_linear
from pipeline.jobs.shared.encoder import Encoder, Feature
from tests.lambdas.predict.conftest import Caller, SageMaker

FEATURES = (
    Feature("age", "numeric", imputed=True, median=40.0, indicator=True),
    Feature("colour", "categorical", imputed=True, levels=("red", "dark, green"), other=True, indicator=True),
    Feature("size", "numeric"),
    Feature("member", "boolean"),
    Feature("town", "categorical", levels=("A",)),
)
BASELINE: Any = {
    "features": {
        "age": {"mean": 41.5, "missing": 0.25},
        "colour": {"kind": "categorical", "levels": {"red": 5, "dark, green": 3, "rare": 2}, "missing": 0.1},
        "size": {"mean": -2.0},
        "member": {"kind": "boolean", "levels": {"false": 3, "true": 1}, "missing": 0.0},
        "town": {"kind": "categorical", "levels": {"A": 1, "B": 1}, "missing": 0.0},
    }
}
ROWS = st.tuples(
    st.one_of(st.none(), st.floats(-100, 100)),
    st.one_of(st.none(), st.sampled_from(["red", "dark, green", "never seen"])),
    st.floats(-100, 100),
    st.booleans(),
    st.sampled_from(["A", "B"]),
)
KINDS = ["binary_classifier", "multiclass_classifier", "regressor"]
LOSSES = dict(zip(KINDS, ["logistic", "softmax_loss", "squared_loss"], strict=True))


def signature(predictor: str, features: tuple[Feature, ...] = FEATURES) -> Signature:
    columns = [(feature.kind, feature.imputed) for feature in features]
    names = [feature.name for feature in features]
    return Signature("s", predictor, "bought", names, columns, frozenset([""]), ["no", "yes"], 1e15)


def line(row: tuple[Any, ...]) -> str:
    """The row as the model takes it."""
    text = io.StringIO()
    cells = ["" if cell is None else str(cell).lower() if isinstance(cell, bool) else cell for cell in row]
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def learner(predictor: str, generator: np.random.Generator, width: int, loss: str = "") -> Model:
    outputs = 3 if predictor == "multiclass_classifier" else 1
    weights, bias = (generator.normal(0, 0.02, shape).astype(np.float32) for shape in ((width, outputs), outputs))
    threshold = 0.5 if predictor == "binary_classifier" else None
    return Model(weights, bias, predictor, loss or LOSSES[predictor], threshold, {})


def packed(model: Model, folder: Path) -> io.BytesIO:
    """The model's artifact."""
    file = write(model, folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(file, file.name)
    return io.BytesIO((folder / "model.tar.gz").read_bytes())


@pytest.mark.parametrize("predictor", KINDS)
@given(row=ROWS, seed=st.integers(0, 99))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_contributions_of_any_row_add_up_to_the_score_of_the_model(
    tmp_path: Path, predictor: str, row: tuple[Any, ...], seed: int
) -> None:
    encoder, generator = Encoder(FEATURES), np.random.default_rng(seed)
    model = learner(predictor, generator, len(encoder.columns))
    linear = read_linear(packed(model, tmp_path))
    assert linear is not None
    write_model(encoder, tmp_path / "encoder")
    document: Any = explanation(linear, features_of([], tmp_path / "encoder/model.tar.gz"), BASELINE, predictor)
    encoded = encoder.encode(encoder.read(line(row).encode() + b"\n"))
    score = predict(model, encoded).score[0].tolist()
    asked = [json.loads(json.dumps(document))], signature(predictor), [line(row)], [score]
    (found,) = explained(*asked, 2) or []
    total = found["base"] + sum(each["effect"] for each in found["contributions"]) + found["rest"]
    assert total == pytest.approx(found["score"], abs=1e-9)
    if predictor == "multiclass_classifier":
        logs = [math.log(share) for share in score]
        assert total == pytest.approx(max(logs) - sum(logs) / len(logs), abs=1e-4)  # logarithms of 32-bit numbers
    else:
        answer = total if predictor == "regressor" else 1 / (1 + math.exp(-total))
        assert answer == pytest.approx(score, rel=1e-6, abs=1e-6)
    given_values = dict(zip((feature.name for feature in FEATURES), row, strict=True))
    assert {each["feature"]: each["value"] for each in found["contributions"]}.items() <= given_values.items()
    others = (explained(*asked, 9) or [])[0]["contributions"]
    assert [abs(each["effect"]) for each in others] == sorted((abs(each["effect"]) for each in others), reverse=True)


def test_the_mean_of_the_contributions_over_the_baselines_rows_is_nothing() -> None:
    weights = [(weight,) for weight in (0.5, 3.0, 1.0, 2.0, 4.0, 8.0, 1.0, 5.0, -1.0)]
    document = explanation(Linear(weights, (0.25,), "logistic"), FEATURES, BASELINE, "binary_classifier")
    means = {each["name"]: each["mean"] for each in document["features"]}
    assert means == {
        "age": pytest.approx([0.75 * 0.5 * 41.5 + 0.25 * (0.5 * 40 + 3)]),
        "colour": pytest.approx([0.9 * (0.5 * 1 + 0.3 * 2 + 0.2 * 4) + 0.1 * 8]),
        "size": [-2.0],
        "member": [0.25 * 5],
        "town": [-0.5],
    }
    assert document["base"] == pytest.approx([0.25 + sum(each[0] for each in means.values())])


def test_levels_called_other_and_missing_have_their_own_weights() -> None:
    levels = ("blue", "missing", "other")
    features = [Feature("colour", "categorical", True, levels=levels, other=True, indicator=True)]
    counts = {"blue": 1, "missing": 1, "other": 1, "rare": 1}
    baseline: Any = {"features": {"colour": {"kind": "categorical", "levels": counts, "missing": 0.5}}}
    linear = Linear([(weight,) for weight in (1.0, 2.0, 4.0, 8.0, 16.0)], (0.5,), "logistic")
    assert explanation(linear, features, baseline, "binary_classifier") == {
        "scale": "log odds",
        "base": [0.5 + 0.5 * 15 / 4 + 0.5 * 16],
        "features": [
            {
                "name": "colour",
                "kind": "categorical",
                "levels": {"blue": [1.0], "missing": [2.0], "other": [4.0]},
                "other": [8.0],
                "missing": [16.0],
                "mean": [0.5 * 15 / 4 + 0.5 * 16],
            }
        ],
    }


def test_a_loss_without_probabilities_and_another_algorithms_artifact_are_not_explained(tmp_path: Path) -> None:
    model = learner("binary_classifier", np.random.default_rng(1), 9, "hinge_loss")
    linear = read_linear(packed(model, tmp_path))
    assert linear is not None
    assert explanation(linear, FEATURES, BASELINE, "binary_classifier") == {}
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model/model_algo-1", "model.pkl")
    assert read_linear(io.BytesIO((tmp_path / "other.tar.gz").read_bytes())) is None


PAIR = [{"name": name, "kind": "numeric"} for name in ("a", "b")]


def linear(weight: float) -> tuple[dict[str, Any], Any]:
    """A model on two numbers: explanation.json, and its answers."""
    effects = [{**each, "weight": [weight], "missing": [0.0], "mean": [0.0]} for each in PAIR]

    def answer(body: str) -> tuple[int, str, Any]:
        sums = [weight * sum(map(float, row.split(","))) for row in body.split("\n")]
        scores = [1 / (1 + math.exp(-each)) for each in sums]
        return 200, "", {"predictions": [{"score": each, "predicted_label": int(each > 0.5)} for each in scores]}

    return {"scale": "log odds", "base": [0.0], "features": effects}, answer


@pytest.fixture
def two_numbers(api: Api) -> Caller:
    api.endpoint.own = Signature(
        "s", "binary_classifier", "t", ["a", "b"], [("numeric", False)] * 2, frozenset([""]), ["no", "yes"], 1e15
    )
    return Caller(api)


def ask(call: Caller, rows: list[list[Any]], explain: str = "true") -> Any:
    event = {"queryStringParameters": {"explain": explain}}
    return call("POST", "/predictions", json.dumps({"instances": rows}), "application/json", **event)


def test_an_explained_prediction_has_the_contributions_of_the_model_that_answered(
    two_numbers: Caller, sagemaker: SageMaker
) -> None:
    document, answer = linear(0.5)
    sagemaker.models["AllTraffic"] = answer
    sagemaker.explain("breast-cancer-1", document)
    (found,) = ask(two_numbers, [[1.0, -3.0]])["predictions"]
    assert found == {
        "label": "no",
        "score": pytest.approx(1 / (1 + math.e)),
        "predicted_label": 0,
        "explanation": {
            "scale": "log odds",
            "score": -1.0,
            "base": 0.0,
            "contributions": [
                {"feature": "b", "value": -3.0, "effect": -1.5},
                {"feature": "a", "value": 1.0, "effect": 0.5},
            ],
            "rest": 0.0,
        },
    }
    assert "explanation" not in ask(two_numbers, [[1.0, -3.0]], "false")["predictions"][0]
    before = list(sagemaker.actions)
    ask(two_numbers, [[1.0, -3.0]])
    assert sagemaker.actions == before  # the explanation is read once


def test_while_two_models_of_one_signature_answer_each_is_explained_by_its_own_weights(
    two_numbers: Caller, sagemaker: SageMaker
) -> None:
    sagemaker.pending = "breast-cancer-2"
    for config, weight in (("breast-cancer-1", 0.5), ("breast-cancer-2", 0.75)):
        sagemaker.explain(config, linear(weight)[0])
    for weight in (0.5, 0.75, 0.5):
        sagemaker.models["AllTraffic"] = linear(weight)[1]
        (found,) = ask(two_numbers, [[1.0, -3.0]])["predictions"]
        assert found["explanation"]["score"] == -2 * weight


def test_after_a_switch_the_new_models_explanation_is_read(two_numbers: Caller, sagemaker: SageMaker) -> None:
    clock = [0.0]
    two_numbers.api.endpoint.clock = lambda: clock[0]
    for config, weight in (("breast-cancer-1", 0.5), ("breast-cancer-2", 0.75)):
        sagemaker.config = config
        sagemaker.models["AllTraffic"] = linear(weight)[1]
        sagemaker.explain(config, linear(weight)[0])
        (found,) = ask(two_numbers, [[1.0, -3.0]])["predictions"]
        assert found["explanation"]["score"] == -2 * weight
        clock[0] += 2


def test_while_a_column_changes_its_kind_rows_of_the_new_kind_are_explained_by_the_new_model(
    two_numbers: Caller, sagemaker: SageMaker
) -> None:
    two_numbers.api.endpoint.own.columns[0] = ("categorical", False)
    numbers, _ = linear(0.5)
    colour = {"name": "a", "kind": "categorical", "levels": {"red": [0.25]}, "other": [0.0], "missing": [0.0]}
    document = {**numbers, "features": [{**colour, "mean": [0.0]}, numbers["features"][1]]}
    sagemaker.pending = "breast-cancer-2"
    sagemaker.explain("breast-cancer-1", numbers)
    sagemaker.explain("breast-cancer-2", document)
    score = 1 / (1 + math.exp(0.25))
    sagemaker.models["AllTraffic"] = lambda _: (200, "", {"predictions": [{"score": score, "predicted_label": 0}]})
    (found,) = ask(two_numbers, [["red", -1.0]])["predictions"]
    contributions = [
        {"feature": "b", "value": -1.0, "effect": -0.5},
        {"feature": "a", "value": "red", "effect": 0.25},
    ]
    assert found["explanation"] == {
        "scale": "log odds",
        "score": -0.25,
        "base": 0.0,
        "contributions": contributions,
        "rest": 0.0,
    }


@pytest.mark.parametrize(
    ("explain", "known", "expected"),
    [
        ("yes", 0.5, (400, "bad-parameter")),
        ("true", None, (409, "not-explained")),
        ("true", 0.75, (503, "busy")),
    ],
)
def test_what_cannot_be_explained_is_a_problem(
    two_numbers: Caller, sagemaker: SageMaker, explain: str, known: float | None, expected: tuple[int, str]
) -> None:
    sagemaker.models["AllTraffic"] = linear(0.5)[1]
    sagemaker.explain("breast-cancer-1", linear(known)[0] if known else None)
    problem = ask(two_numbers, [[1.0, -3.0]], explain)
    assert (two_numbers.status, problem["type"].rpartition(":")[2]) == expected


def test_an_api_without_explanations_says_so(two_numbers: Caller) -> None:
    two_numbers.api.settings = two_numbers.api.settings.__class__(
        **{**vars(two_numbers.api.settings), "contributions": 0}
    )
    assert ask(two_numbers, [[1.0, -3.0]])["detail"] == "This API explains no predictions: call it without `explain`"
    assert two_numbers.status == 400
