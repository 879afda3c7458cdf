"""The smoke test: golden rows get what they demand, smoke rows what batch transform gave."""

from dataclasses import replace
from typing import Any

import pytest

from lambdas.predict.api import Api
from lambdas.predict.smoke_test import SmokeTestFailed, SmokeTestUnanswered, smoke_test
from tests.lambdas.predict.conftest import with_signature

BENIGN: Any = {"row": [13.0] * 30, "label": "B"}
ROW = ",".join(["12.0"] * 30)
SCORED: Any = {"row": ROW, "label": "B", "score": 0.4}


def regressor(api: Api) -> Api:
    return with_signature(api, predictor_type="regressor", classes=[], features=["x"])


def failure(event: Any, api: Api) -> str:
    with pytest.raises(SmokeTestFailed) as failed:
        smoke_test(event, api)
    return str(failed.value)


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_every_golden_row_is_checked_and_a_wrong_one_is_named_by_its_position(
    api: Api, sagemaker: Any, wrong: int
) -> None:
    golden = [BENIGN] * 3
    assert smoke_test({"golden": golden}, api) == {"ok": True, "checked": 3}
    assert len(sagemaker.rows) == 3
    golden[wrong - 1] = {**BENIGN, "label": "M"}
    assert failure({"golden": golden}, api) == f"golden row {wrong}: expected M, got B"


def test_of_the_golden_rows_a_share_must_hold(api: Api) -> None:
    golden: Any = [BENIGN, {**BENIGN, "label": "M"}, {**BENIGN, "at_least": 0.9}]
    del golden[2]["label"]
    assert smoke_test({"golden": golden, "golden_share": 0.33}, api) == {"ok": True, "checked": 3}
    wrong = f"golden row 2: expected M, got B; golden row 3: expected a score of at least 0.9, got {13 / 30}"
    assert failure({"golden": golden, "golden_share": 0.34}, api) == wrong
    tenth: Any = [BENIGN] + [{**BENIGN, "label": "M"}] * 9
    assert smoke_test({"golden": tenth, "golden_share": 0.1}, api) == {"ok": True, "checked": 10}


def test_a_golden_score_has_bounds(api: Api) -> None:
    row = {"row": [15.0] * 30}
    assert smoke_test({"golden": [{**row, "at_least": 0.5, "at_most": 0.5}]}, api) == {"ok": True, "checked": 1}
    wanted = "golden row 1: expected a score of at least 0.1 and at most 0.4, got 0.5"
    assert failure({"golden": [{**row, "at_least": 0.1, "at_most": 0.4}]}, api) == wanted


def test_a_regressors_golden_value_has_a_tolerance(api: Api, sagemaker: Any) -> None:
    sagemaker.answer = b'{"predictions": [{"score": 151.5}]}'
    golden: Any = {"row": [1.0], "value": 150.0, "tolerance": 1.5}
    assert smoke_test({"golden": [golden]}, regressor(api)) == {"ok": True, "checked": 1}
    wrong = failure({"golden": [{**golden, "tolerance": 1.4}]}, regressor(api))
    assert wrong == "golden row 1: expected 150.0 within 1.4, got 151.5"


def test_a_golden_row_by_name_goes_through_the_apis_parser(encoded: Api, sagemaker: Any) -> None:
    row = {"age": None, "class": 3.0, "sex": " male", "alone": "Yes", "fare": 7}
    assert smoke_test({"golden": [{"row": row, "label": "no"}]}, encoded) == {"ok": True, "checked": 1}
    assert sagemaker.rows == [",3,male,,true,7.0"]
    with pytest.raises(SmokeTestUnanswered) as failed:
        smoke_test({"golden": [{"row": {**row, "fare": None, "class": True}, "label": "no"}]}, encoded)
    faults = "class must be text: at most 1000 characters, no control characters, fare has no value"
    assert str(failed.value).startswith("golden row 1 got no answer: bad-rows: ")
    assert str(failed.value).endswith(f": {faults}")


def test_a_smoke_row_is_posted_as_it_is_and_gets_the_answer_of_batch_transform(encoded: Api, sagemaker: Any) -> None:
    smoke: Any = [
        {"row": '12.0,3,male,"Southampton, UK",true,7.25', "label": "no", "score": 0.4},
        {"row": ",3,male,,,7.25", "label": "no", "score": 0.0},
    ]
    assert smoke_test({"smoke": smoke, "golden": []}, encoded) == {"ok": True, "checked": 2}
    assert sagemaker.rows == [row["row"] for row in smoke]


@pytest.mark.parametrize("event", [{"golden": [BENIGN]}, {"smoke": [SCORED]}])
def test_a_row_that_the_api_would_refuse_is_not_answered(api: Api, event: Any) -> None:
    """The call is that which API Gateway hands over, with its limits."""
    small = replace(api, settings=replace(api.settings, max_bytes=100))
    with pytest.raises(SmokeTestUnanswered, match="row 1 got no answer: too-large: Send at most 100 bytes in one call"):
        smoke_test(event, small)


def test_without_rows_there_is_nothing_to_check(api: Api) -> None:
    assert smoke_test({"golden": None, "smoke": None}, api) == {"ok": True, "checked": 0}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"label": "M"}, "M with score 0.4"),
        ({"score": 0.400001}, "B with score 0.400001"),
        ({"score": [0.4, 0.6]}, "B with score [0.4, 0.6]"),
    ],
)
def test_another_answer_than_batch_transforms_is_a_failure(api: Api, changes: dict[str, Any], answer: str) -> None:
    assert smoke_test({"smoke": [{**SCORED, "score": 0.4 + 3e-7}]}, api) == {"ok": True, "checked": 1}
    wrong = failure({"smoke": [SCORED, {**SCORED, **changes}]}, api)
    assert wrong == f"smoke row 2: batch transform gave {answer}, the API gives B with score 0.4"


def test_scores_near_zero_are_compared_with_the_largest_one(api: Api, sagemaker: Any) -> None:
    sagemaker.answer = b'{"predictions": [{"score": 1e-7}]}'
    near: Any = [{"row": "1.0", "score": 2e-7}]
    wrong = "smoke row 1: batch transform gave 2e-07, the API gives 1e-07"
    assert failure({"smoke": near}, regressor(api)) == wrong
    sagemaker.answer = b'{"predictions": [{"score": 100}]}'
    large: Any = [{"row": "1.0", "score": 100.00005}, {"row": "1.0", "score": 99.99995}]
    assert smoke_test({"smoke": large}, regressor(api)) == {"ok": True, "checked": 2}


def test_each_score_of_a_multiclass_model_is_compared(api: Api, sagemaker: Any) -> None:
    classes = ["a", "b", "c"]
    multiclass = with_signature(api, predictor_type="multiclass_classifier", classes=classes, features=["x"])
    sagemaker.answer = b'{"predictions": [{"score": [0.1, 0.2, 0.7], "predicted_label": 2}]}'
    smoke: Any = {"row": "1.0", "label": "c", "score": [0.1, 0.2, 0.7]}
    assert smoke_test({"smoke": [smoke]}, multiclass) == {"ok": True, "checked": 1}
    wrong = failure({"smoke": [{**smoke, "score": [0.1, 0.21, 0.7]}]}, multiclass)
    given = "batch transform gave c with score [0.1, 0.21, 0.7]"
    assert wrong == f"smoke row 1: {given}, the API gives c with score [0.1, 0.2, 0.7]"


@pytest.mark.parametrize(
    "event", [{"golden": [{"row": [13.37] * 30, "label": "B"}]}, {"smoke": [{**SCORED, "row": ROW}]}]
)
def test_a_problem_instead_of_an_answer_is_another_error_than_a_wrong_answer(
    api: Api, sagemaker: Any, event: Any
) -> None:
    sagemaker.refusal = (424, "ModelError", {"Message": "13.37"})
    with pytest.raises(SmokeTestUnanswered) as failed:
        smoke_test(event, api)
    assert not isinstance(failed.value, SmokeTestFailed)
    assert str(failed.value).startswith(f"{next(iter(event))} row 1 got no answer: model-error: ")
    assert "13.37" not in str(failed.value)
