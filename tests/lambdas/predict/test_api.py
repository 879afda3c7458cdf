"""The routes: the answers to good calls, and the form of every problem."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from lambdas.predict.problem import KINDS
from pipeline.config import Settings
from pipeline.settings import Api as SettingsOfApi
from tests.conftest import ROOT
from tests.lambdas.predict.conftest import with_signature

PATH = "/predictbreastcancer"


def text(row: list[float]) -> str:
    return ",".join(map(repr, row))


def test_a_benign_row_and_a_malignant_one(api: Api, call: Any, rows: list[list[float]], sagemaker: Any) -> None:
    assert call.post(PATH, {"data": text(rows[0])}) == "B"
    assert call.status == 200
    assert call.headers == {
        "Content-Type": "application/json",
        "X-Model-Version": "breast-cancer-1",
        "X-Model-Signature": api.settings.signature,
        "X-Inference-Id": "request-1",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    assert sagemaker.rows == [text(rows[0])]
    assert call.post(PATH, {"data": text(rows[1])}) == "M"


def test_what_reaches_sagemaker_is_rebuilt_from_numbers(call: Any, sagemaker: Any) -> None:
    written = " 1,2.50,\t-0 ,1E2,.5,5.,00012" + ",0" * 23 + "\r\n"
    assert call.post(PATH, {"data": written}) == "B"
    assert sagemaker.rows == ["1.0,2.5,-0.0,100.0,0.5,5.0,12.0" + ",0.0" * 23]


def test_a_batch_is_answered_in_the_order_posted_and_logged_in_one_line(
    call: Any, rows: list[list[float]], sagemaker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker.version = 7
    model = {"name": "breast-cancer-1", "package_version": "7", "trained_at": "2026-01-02T03:04:05+00:00"}
    assert call.post("/predictions", {"instances": [rows[1], rows[0]]}) == {
        "predictions": [
            {"label": "M", "score": 17.99 / 30, "predicted_label": 1},
            {"label": "B", "score": 13.49 / 30, "predicted_label": 0},
        ],
        "model": {**model, "variant": "AllTraffic"},
    }
    line = json.loads(capsys.readouterr().out)
    assert line.pop("latency_ms") > 0
    served = {"status": 200, "rows": 2, "model": "breast-cancer-1", "variant": "AllTraffic"}
    assert line == {"request_id": "request-1", "method": "POST", "resource": "/predictions", **served}


def test_names_may_come_in_any_order(call: Any, rows: list[list[float]], settings: Settings, sagemaker: Any) -> None:
    by_name = dict(reversed(list(zip(settings.data.features, rows[0], strict=True))))
    call.post("/predictions", {"instances": [by_name, rows[0]]})
    assert sagemaker.rows == ["\n".join([text(rows[0])] * 2)]


def test_the_largest_body_and_the_most_rows_are_answered_and_one_more_is_not(
    call: Any, rows: list[list[float]], settings: Settings
) -> None:
    body = json.dumps({"data": text(rows[0])})
    assert call("POST", PATH, body.ljust(1_000_000), "application/json") == "B"
    assert call("POST", PATH, body.ljust(1_000_001), "application/json")["type"] == "urn:problem-type:too-large"
    most = [rows[0]] * settings.api.max_rows
    assert len(call.post("/predictions", {"instances": most})["predictions"]) == len(most)
    assert call.problem("/predictions", {"instances": [*most, rows[0]]}) == (413, "too-large")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_csv_has_a_row_per_line(call: Any, rows: list[list[float]], sagemaker: Any, end: str) -> None:
    body = "\ufeff" + "\r\n".join(map(text, rows)) + end
    answers = call("POST", "/predictions", body, "text/csv; charset=UTF-8")["predictions"]
    assert [answer["label"] for answer in answers] == ["B", "M"]
    assert sagemaker.rows == ["\n".join(map(text, rows))]


def test_a_body_in_base64_is_read(call: Any, rows: list[list[float]]) -> None:
    body = base64.b64encode(json.dumps({"data": text(rows[0])}).encode()).decode()
    assert call("POST", PATH, body, isBase64Encoded=True) == "B"


def test_a_multiclass_model_answers_the_class_and_all_scores(api: Api, call: Any, sagemaker: Any) -> None:
    call.api = with_signature(
        api, predictor_type="multiclass_classifier", classes=["low", "mid", "high"], features=["x"]
    )
    sagemaker.answer = b'{"predictions": [{"score": [0.1, 0.2, 0.7], "predicted_label": 2.0}]}'
    answer = {"label": "high", "score": [0.1, 0.2, 0.7], "predicted_label": 2}
    assert call.post("/predictions", {"instances": [[1]]})["predictions"] == [answer]
    assert call.post(PATH, {"data": "1"}) == "high"


def test_a_regressor_answers_a_number(api: Api, call: Any, sagemaker: Any) -> None:
    call.api = with_signature(api, predictor_type="regressor", classes=[], features=["x"])
    sagemaker.answer = b'{"predictions": [{"score": 151.5}]}'
    assert call.post("/predictions", {"instances": [{"x": 1}]})["predictions"] == [{"score": 151.5}]
    assert call.post(PATH, {"data": "1"}) == 151.5


def _with(api: Api, **changes: Any) -> Api:
    return replace(api, settings=replace(api.settings, **changes))


def test_health_says_ok_without_asking_the_model(call: Any, sagemaker: Any) -> None:
    assert call("GET", "/health") == {"status": "ok"}
    assert (sagemaker.rows, sagemaker.actions) == ([], [])


def test_the_documents_come_from_the_package(call: Any, package: Path) -> None:
    assert call("GET", "/openapi.json") == json.loads((package / "predict" / "openapi.json").read_bytes())
    assert call("GET", "/docs") == (package / "predict" / "docs.html").read_text("utf-8")
    assert call.headers["Content-Type"] == "text/html; charset=utf-8"


def test_an_unknown_path_is_404_and_names_the_paths(call: Any) -> None:
    assert call("GET", "/{proxy+}", pathParameters={"proxy": "predict"}) == {
        "type": "urn:problem-type:not-found",
        "title": "The path does not exist",
        "status": 404,
        "detail": f"The paths are {PATH}, /predictions, /health, /openapi.json, /docs",
        "request_id": "request-1",
    }
    assert (call.status, call.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", [PATH, "/predictions", "/health"])
def test_the_catch_all_answers_no_call_of_another_path(call: Any, path: str, sagemaker: Any) -> None:
    """API Gateway decodes /%70redictions: by the catch-all a prediction would need no API key."""
    answer = call("POST", "/{proxy+}", pathParameters={"proxy": path[1:]}, body='{"data": ""}')
    assert (answer["type"], sagemaker.rows) == ("urn:problem-type:not-found", [])


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", PATH, "POST"), ("DELETE", "/predictions", "POST"), ("POST", "/docs", "GET")]
)
def test_another_method_is_405_and_the_allowed_one_is_named(call: Any, method: str, path: str, allowed: str) -> None:
    answer = call(method, path)
    assert answer["type"] == "urn:problem-type:method-not-allowed"
    assert (call.status, call.headers["Allow"]) == (405, allowed)


def test_the_guide_describes_every_problem() -> None:
    guide = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in guide] == []


def test_the_guide_describes_every_setting() -> None:
    table = (ROOT / "docs" / "api.md").read_text("utf-8").partition("## Settings")[2]
    described = set(re.findall(r"`(\w+)`", table))
    assert [key for key in SettingsOfApi.model_fields if key not in described] == []


def test_no_other_origin_may_call_unless_the_settings_say_so(api: Api, call: Any) -> None:
    refused = call("OPTIONS", "/predictions")
    assert refused["type"] == "urn:problem-type:method-not-allowed"
    assert "Access-Control-Allow-Origin" not in call.headers
    call.api = _with(api, cors_origin="https://example.org")
    response = respond({"httpMethod": "OPTIONS", "resource": "/predictions"}, call.api)
    assert (response["statusCode"], response["body"]) == (204, "")
    headers = {name: value for name, value in response["headers"].items() if name.startswith("Access-Control")}
    assert headers == {
        "Access-Control-Allow-Origin": "https://example.org",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Api-Key, X-Model-Signature",
        "Access-Control-Expose-Headers": "Retry-After, X-Inference-Id, X-Model-Signature, X-Model-Version",
        "Access-Control-Max-Age": "600",
    }
    call.post("/predictions", {})
    assert (call.status, call.headers["Access-Control-Allow-Origin"]) == (400, "https://example.org")


def test_a_failure_of_the_api_is_500_and_shows_nothing(
    call: Any, api: Api, capsys: pytest.CaptureFixture[str], rows: list[list[float]]
) -> None:
    call.api = with_signature(api, columns=None)
    assert call.post(PATH, {"data": text(rows[0])}) == {
        "type": "urn:problem-type:internal",
        "title": "The API failed",
        "status": 500,
        "detail": "Report the request_id to the owner of this API",
        "request_id": "request-1",
    }
    line = json.loads(capsys.readouterr().out)
    assert (line["error"], line["problem"], line["at"].partition(":")[0]) == ("TypeError", "internal", "rows.py")
