"""The package as Lambda loads it: a fresh process, the handler's name, API Gateway's events and the smoke test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk.api.predict_package import write_package
from lambdas.predict import smoke
from lambdas.predict.api import Api
from lambdas.predict.smoke import SmokeTestFailed
from pipeline.config import Settings

RUN = """
import json, sys
from predict.handler import handle
for event in json.load(sys.stdin):
    print(json.dumps(handle(event, None)))
"""


def test_the_packaged_handler_answers_calls_and_golden_rows(
    settings: Settings, bundle: Path, environment: dict[str, str]
) -> None:
    golden = [row.model_dump(exclude_none=True) for row in settings.endpoint.golden]
    body = json.dumps({"data": ",".join(map(repr, golden[0]["row"]))})
    proxied = {
        "httpMethod": "POST",
        "resource": settings.api.path,
        "path": settings.api.path,
        "headers": None,
        "body": body,
    }
    ran = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([proxied, {"golden": golden}]),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(bundle), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    log, answer, smoke_test = map(json.loads, ran.stdout.splitlines())
    assert (log["status"], answer["statusCode"], answer["body"]) == (200, 200, '"B"')
    assert smoke_test == {"ok": True, "checked": 2}


def test_the_same_settings_give_the_same_package(settings: Settings, bundle: Path, tmp_path: Path) -> None:
    again = write_package(settings, write_package(settings, tmp_path / "again"))

    def files(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }

    assert files(again) == files(bundle)
    assert not any("__pycache__" in name for name in files(bundle))


def test_a_golden_row_that_is_wrong_fails_the_smoke_test_by_its_position(api: Api) -> None:
    benign = [13.0] * 30
    with pytest.raises(SmokeTestFailed) as failed:
        smoke.check([{"row": benign, "label": "B"}, {"row": benign, "label": "M"}], api)
    assert str(failed.value) == "golden row 2: expected M, got B"


def test_a_regressors_golden_value_has_a_tolerance(api: Api, sagemaker: Any) -> None:
    vars(api.contract).update(predictor_type="regressor", classes=[])
    sagemaker.answer = b'{"predictions": [{"score": 151.5}]}'
    assert smoke.check([{"row": [1.0], "value": 150.0, "tolerance": 1.5}], api) == {"ok": True, "checked": 1}
    with pytest.raises(SmokeTestFailed, match=r"^golden row 1: expected 150.0 within 1.4, got 151.5$"):
        smoke.check([{"row": [1.0], "value": 150.0, "tolerance": 1.4}], api)


def test_an_endpoint_that_fails_fails_the_smoke_test_with_the_problem(api: Api, sagemaker: Any) -> None:
    sagemaker.refusal = (424, "ModelError", {"Message": "13.37"})
    with pytest.raises(SmokeTestFailed) as failed:
        smoke.check([{"row": [13.37] * 30, "label": "B"}], api)
    assert str(failed.value).startswith("golden row 1 got no answer: model-error: ")
    assert "13.37" not in str(failed.value)
