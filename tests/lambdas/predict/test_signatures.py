"""Models of two signatures behind one API: each answer is read by the signature of the model that gave it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambdas.predict.api import Api
from lambdas.predict.rows import Signature
from lambdas.predict.smoke_test import SmokeTestUnanswered, smoke_test
from pipeline.jobs.shared.signature import LARGEST
from tests.lambdas.predict.conftest import Caller, SageMaker

PATH, MANY = "/predictbreastcancer", "/predictions"
Model = Callable[[str], tuple[int, str, Any]]


def document(*features: str, classes: tuple[str, ...] = ("old", "new"), **kinds: str) -> dict[str, Any]:
    """A signature of a binary classifier."""
    given = [{"name": name, "kind": kinds.get(name, "numeric"), "imputed": False} for name in features]
    fixed = {"predictor_type": "binary_classifier", "target": "age", "missing_texts": [""], "largest": LARGEST}
    return {**fixed, "features": given, "classes": list(classes), "positive_class": classes[1]}


def model(width: int, place: int) -> Model:
    """A model that takes rows of this width, and answers class 1 when the value at `place` is above 0."""

    def answer(body: str) -> tuple[int, str, Any]:
        rows = [[float(cell) for cell in line.split(",")] for line in body.split("\n")]
        if any(len(row) != width for row in rows):
            return 424, "ModelError", {"OriginalStatusCode": 400}
        labels = [int(row[place] > 0) for row in rows]
        return 200, "", {"predictions": [{"score": float(label), "predicted_label": label} for label in labels]}

    return answer


class Two:
    """An endpoint whose models answer in turn, and an API that was deployed with the first one's signature."""

    def __init__(self, api: Api, sagemaker: SageMaker) -> None:
        self.api, self.sagemaker, self.call = api, sagemaker, Caller(api)

    def put(self, *models: tuple[str, dict[str, Any], Model], live: tuple[str, ...] = ()) -> None:
        """Deploy these; `live` are the names of those that answer, in turn."""
        for name, signature, answer in models:
            self.sagemaker.signatures[name] = json.dumps(signature)
            self.sagemaker.models[f"signature-{name}"] = answer
        self.sagemaker.variants = [f"signature-{name}" for name in live or [name for name, *_ in models]]
        name, signature, _ = models[0]
        self.api.endpoint.own = Signature.of(name, signature)
        self.api.asked = self.api.endpoint.own

    def label(self, instance: Any, **headers: str) -> tuple[int, Any, str]:
        """The status, the label or the problem, and the signature of an answer."""
        sent = {"Content-Type": "application/json", **headers}
        answer = self.call("POST", MANY, json.dumps({"instances": [instance]}), headers=sent)
        kind = answer["predictions"][0]["label"] if "predictions" in answer else answer["type"].rpartition(":")[2]
        return self.call.status, kind, self.call.headers.get("X-Model-Signature", "")


@pytest.fixture
def two(api: Api, sagemaker: SageMaker) -> Two:
    return Two(api, sagemaker)


AB = ("ab", document("a", "b"), model(2, 0))
BA = ("ba", document("b", "a"), model(2, 1))
SWAPPED = ("swapped", document("a", "b", classes=("new", "old")), model(2, 0))
ABC = ("abc", document("a", "b", "c"), model(3, 0))


def test_after_a_switch_rows_are_built_anew_by_the_signature_of_the_model_that_answers(two: Two) -> None:
    two.put(AB, BA, live=("ba",))
    assert two.label({"a": 1, "b": -1}) == (200, "new", "ba")
    assert two.sagemaker.rows == ["1.0,-1.0", "-1.0,1.0"]
    assert two.sagemaker.ids == ["ab:request-1", "ba:request-1"], "data capture has both"
    assert two.label([-1, 1]) == (200, "new", "ba")
    assert len(two.sagemaker.rows) == 3
    assert two.sagemaker.actions.count("GetObject ba") == 1


def test_labels_are_those_of_the_model_that_answered(two: Two) -> None:
    two.put(AB, SWAPPED, live=("swapped",))
    assert two.label([1, 0]) == (200, "old", "swapped")
    two.sagemaker.variants = ["signature-ab"]
    assert two.label([1, 0]) == (200, "new", "ab")


@pytest.mark.parametrize("live", [("ab", "ba"), ("ab", "ab", "ab", "ba"), ("ba", "ab", "ab")])
def test_while_two_models_answer_in_turn_no_answer_is_read_by_the_others_signature(
    two: Two, live: tuple[str, ...]
) -> None:
    two.put(AB, BA, live=live)
    for _ in range(40):
        assert two.label({"a": 1, "b": -1})[:2] == (200, "new")
        status, label, signature = two.label([1, -1])
        assert (status, label) == (200, "new" if signature == "ab" else "old")


def test_rows_that_fit_the_new_model_alone_are_answered_by_it_during_its_deployment(two: Two) -> None:
    two.put(AB, ABC, live=("ab", "ab", "ab", "abc"))
    assert two.label([1, 2, 3]) == (200, "new", "abc")
    assert two.label({"a": 1, "b": 2, "c": 3}) == (200, "new", "abc")
    assert two.label([1, 2]) == (200, "new", "ab")


def test_a_model_that_refuses_rows_of_another_signature_costs_no_answer(two: Two) -> None:
    two.put(ABC, AB, live=("abc", "ab"))
    for _ in range(20):
        assert two.label({"a": 1, "b": 2, "c": 3})[:2] == (200, "new")
        assert two.label([1, 2]) == (200, "new", "ab")


def test_rows_that_fit_no_model_are_refused_and_so_are_those_that_fit_one_that_is_gone(two: Two) -> None:
    two.put(AB, ABC, live=("abc", "abc"))
    assert two.label([1]) == (400, "bad-rows", "")
    assert two.label([1, 2]) == (400, "bad-rows", "")


def test_a_batch_in_parts_is_answered_by_one_model(two: Two) -> None:
    two.put(AB, BA, live=("ab", "ba", "ba"))
    two.api.endpoint.max_bytes = 9
    answer = two.call.post(MANY, {"instances": [{"a": 1, "b": -1}, {"a": -1, "b": 1}]})
    assert [each["label"] for each in answer["predictions"]] == ["new", "old"]
    assert answer["model"]["variant"] == "signature-ba"


def test_a_caller_that_names_its_signature_gets_an_answer_of_such_a_model_or_409(two: Two) -> None:
    two.put(AB, BA, live=("ab", "ba"))
    for name in ("ab", "ba", "ab"):
        assert two.label({"a": 1, "b": -1}, **{"X-Model-Signature": name}) == (200, "new", name)
    two.sagemaker.variants = ["signature-ba"]
    two.api.endpoint.read_at = float("-inf")
    asked = len(two.sagemaker.rows)
    assert two.label([1, 2], **{"x-model-signature": "ab"}) == (409, "other-signature", "")
    assert len(two.sagemaker.rows) <= asked + 1
    assert two.label([1, 2], **{"X-Model-Signature": "none such"})[0] == 409
    answer = two.call("POST", MANY, "{}", headers={"X-Model-Signature": "ab"})
    assert (answer["signature"], answer["document"]) == ("ba", "openapi.json")


def test_the_first_call_is_built_by_the_signature_of_the_live_model(two: Two) -> None:
    two.put(AB, BA, live=("ba",))
    two.api.asked = None
    assert two.label([-1, 1]) == (200, "new", "ba")
    assert two.sagemaker.rows == ["-1.0,1.0"]


def test_a_variant_without_a_signature_has_the_deployed_settings(two: Two) -> None:
    two.put(AB)
    two.sagemaker.variants, two.api.asked = ["AllTraffic"], None
    two.sagemaker.models["AllTraffic"] = AB[2]
    assert two.label([1, -1]) == (200, "new", "ab")


def test_a_signature_that_cannot_be_read_is_a_fault_of_the_api(two: Two) -> None:
    two.put(AB, BA, live=("ba",))
    del two.sagemaker.signatures["ba"]
    assert two.label([1, -1]) == (500, "internal", "")


def test_the_document_is_the_live_models(two: Two, api: Api) -> None:
    own = two.call("GET", "/openapi.json")
    assert own["info"]["x-model-signature"] == api.settings.signature
    kinds = {"port": "categorical"}
    other = document("radius_mean", "port", **kinds)
    two.sagemaker.signatures["other"] = json.dumps(other)
    two.sagemaker.variants = ["signature-other"]
    two.api.endpoint.read_at = float("-inf")
    served = two.call("GET", "/openapi.json")
    assert two.call.headers["X-Model-Signature"] == served["info"]["x-model-signature"] == "other"
    schemas = served["components"]["schemas"]
    assert list(schemas["NamedValues"]["properties"]) == ["radius_mean", "port"]
    assert schemas["Instances"]["example"]["instances"][0] == {"radius_mean": 13.49, "port": "text"}
    assert schemas["Label"]["enum"] == ["old", "new"]
    assert "NamedNumbers" not in schemas
    csv = served["paths"][MANY]["post"]["requestBody"]["content"]["text/csv"]["example"]
    assert csv.splitlines()[0] == "13.49,text"
    assert served["info"]["description"].startswith("Predicts age with")


def test_a_smoke_test_is_answered_by_the_variant_that_it_names(two: Two) -> None:
    two.put(AB, BA, live=("ab", "ba"))
    golden: Any = [{"row": {"a": 1.0, "b": -1.0}, "label": "new"}]
    smoke: Any = [{"row": "-1.0,1.0", "label": "new", "score": 1.0}]
    event: Any = {"golden": golden, "smoke": smoke, "variant": "signature-ba"}
    for _ in range(5):
        assert smoke_test(event, two.api) == {"ok": True, "checked": 2}
    two.sagemaker.variants = ["signature-ab"]
    two.api.endpoint.read_at = float("-inf")
    with pytest.raises(SmokeTestUnanswered, match="other-signature"):
        smoke_test(event, two.api)


def test_golden_rows_that_another_signature_cannot_answer_are_left_out(two: Two) -> None:
    two.put(AB)
    golden: Any = [
        {"row": {"a": 1.0, "b": -1.0}, "label": "new"},
        {"row": {"a": 1.0, "b": -1.0, "c": 1.0}, "label": "new"},
        {"row": {"a": 1.0, "b": -1.0}, "label": "other"},
    ]
    assert smoke_test({"golden": golden, "variant": "signature-ab"}, two.api) == {"ok": True, "checked": 1}


def test_a_refusal_right_after_a_switch_costs_no_answer(two: Two) -> None:
    """The endpoint was described a moment ago, when the old model was live."""

    def picky(body: str) -> tuple[int, str, Any]:
        return (424, "ModelError", {}) if float(body.partition(",")[0]) > 0 else BA[2](body)

    two.put(AB, (*BA[:2], picky), live=("ab",))
    assert two.label({"a": 1, "b": -1}) == (200, "new", "ab")
    two.sagemaker.variants = ["signature-ba"]
    assert two.label({"a": 1, "b": -1}) == (200, "new", "ba")


def test_a_caller_is_told_of_a_switch_that_was_just_made(two: Two) -> None:
    two.put(AB, BA, live=("ab",))
    sent = {"X-Model-Signature": "ab"}
    assert two.label([1, 2], **sent) == (200, "new", "ab")
    two.sagemaker.variants = ["signature-ba"]
    assert two.label([1, 2], **sent) == (409, "other-signature", "")


def test_while_a_deployment_bakes_with_all_traffic_a_caller_learns_of_its_signature(two: Two) -> None:
    two.put(ABC, AB, live=("ab",))
    two.sagemaker.described = ["signature-abc", "signature-ab"]
    assert two.label([1, 2, 3]) == (400, "bad-rows", "")
    refused = two.call("POST", MANY, "{}", headers={"X-Model-Signature": "none such"})
    assert refused["signature"] == "ab"
    assert two.label([1, 2]) == (200, "new", "ab")


def test_rows_of_a_model_that_goes_during_their_call_are_refused_by_the_one_that_stays(two: Two) -> None:
    """A failure of the new model is none of its own: it was asked for rows of the old one."""
    now = [0.0]

    def ends(body: str) -> tuple[int, str, Any]:
        now[0] += 1
        if len(two.sagemaker.rows) == 2:
            two.sagemaker.described = ["signature-ab"]
        return AB[2](body)

    two.put(ABC, (*AB[:2], ends), live=("ab",))
    two.sagemaker.described = ["signature-abc", "signature-ab"]
    two.api.endpoint.clock = lambda: now[0]
    assert two.label([1, 2, 3]) == (400, "bad-rows", "")
    assert two.label([1, 2]) == (200, "new", "ab")
    assert len(two.sagemaker.rows) == 3
