"""How an execution's last state is put into words."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lambdas.finish import outcome
from lambdas.finish.outcome import Outcome

RUN = "arn:aws:states:us-east-1:123456789012:execution:shop-retrain:run-1"
CASES = tomllib.loads(Path(__file__).with_name("outcomes.toml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES["failures"].values(), ids=CASES["failures"])
def test_a_failure_has_an_outcome_a_sentence_and_an_error(case: dict[str, Any]) -> None:
    assert outcome.of_failure(case["state"], RUN) == Outcome(*case["outcome"])


@pytest.mark.parametrize("case", CASES["successes"].values(), ids=CASES["successes"])
def test_a_run_that_ends_well_says_what_came_of_its_model(case: dict[str, Any]) -> None:
    assert outcome.of_retrain(case["state"]) == Outcome(*case["outcome"])


def test_warnings_are_sentences_of_the_run_and_of_its_deployment() -> None:
    state = {
        "deployment": {"warnings": ["cleanup failed: refused"]},
        "reject_error": {"Error": "E", "Cause": json.dumps({"errorMessage": "denied"})},
    }
    assert outcome.warnings(state) == ["cleanup failed: refused", "the package was not rejected: denied"]
