"""The package as Lambda loads it: a fresh process, the handler's name, API Gateway's events and the smoke test."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdk.api.openapi import write_package
from lambdas.predict.api import Api, SmokeTestFailed, SmokeTestUnanswered, smoke_test
from pipeline.config import Settings

RUN = """
import json, sys
from predict.handler import handle
for event in json.load(sys.stdin):
    print(json.dumps(handle(event, None)))
"""
BENIGN = {"row": [13.0] * 30, "label": "B"}


def test_the_packaged_handler_answers_calls_and_golden_rows(
    settings: Settings, package: Path, environment: dict[str, str]
) -> None:
    golden = [row.model_dump(exclude_none=True) for row in settings.endpoint.golden]
    body = json.dumps({"data": ",".join(map(repr, golden[0]["row"]))})
    path = settings.api.path
    event = {"httpMethod": "POST", "resource": path, "path": path, "headers": None, "body": body}
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    events, command = json.dumps([event, {"golden": golden}]), [sys.executable, "-c", RUN]
    output = subprocess.check_output(command, input=events, env=paths | environment, text=True)
    log, answer, checked = map(json.loads, output.splitlines())
    assert (log["status"], answer["statusCode"], answer["body"]) == (200, 200, '"B"')
    assert checked == {"ok": True, "checked": 2}


def test_the_same_settings_give_the_same_package(settings: Settings, package: Path, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    again = write_package(settings, write_package(settings, tmp_path / "again"))
    assert files(again) == files(package)
    assert not any("__pycache__" in name for name in files(package))


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_every_golden_row_is_checked_and_a_wrong_one_is_named_by_its_position(
    api: Api, sagemaker: Any, wrong: int
) -> None:
    golden = [BENIGN] * 3
    assert smoke_test(golden, api) == {"ok": True, "checked": 3}
    assert len(sagemaker.rows) == 3
    golden[wrong - 1] = {**BENIGN, "label": "M"}
    with pytest.raises(SmokeTestFailed) as failed:
        smoke_test(golden, api)
    assert str(failed.value) == f"golden row {wrong}: expected M, got B"


def test_a_regressors_golden_value_has_a_tolerance(api: Api, sagemaker: Any) -> None:
    regressor = replace(api, settings=replace(api.settings, predictor_type="regressor", classes=[]))
    sagemaker.answer = b'{"predictions": [{"score": 151.5}]}'
    golden = {"row": [1.0], "value": 150.0, "tolerance": 1.5}
    assert smoke_test([golden], regressor) == {"ok": True, "checked": 1}
    with pytest.raises(SmokeTestFailed, match=r"^golden row 1: expected 150.0 within 1.4, got 151.5$"):
        smoke_test([{**golden, "tolerance": 1.4}], regressor)


def test_a_problem_instead_of_an_answer_is_another_error_than_a_wrong_answer(api: Api, sagemaker: Any) -> None:
    sagemaker.refusal = (424, "ModelError", {"Message": "13.37"})
    with pytest.raises(SmokeTestUnanswered) as failed:
        smoke_test([{"row": [13.37] * 30, "label": "B"}], api)
    assert not isinstance(failed.value, SmokeTestFailed)
    assert str(failed.value).startswith("golden row 1 got no answer: model-error: ")
    assert "13.37" not in str(failed.value)
