"""`ops plan`: by the settings alone, and by what is deployed and has run."""

from __future__ import annotations

import pytest
from local_aws.cloud import Cloud

from ops.plan import START_UP
from tests.conftest import Deployed
from tests.ops.typing import typed

pytestmark = pytest.mark.cloud


def test_without_a_deployment_the_plan_is_by_the_settings(empty: Cloud) -> None:
    answer = typed("plan", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.document
    total = 2 * START_UP["processing"] + START_UP["training"] + START_UP["transform"] + START_UP["endpoint"] + 300
    assert (document["source"], document["run"]) == ("the settings, as nothing is deployed", "")
    assert (document["job_starts"], document["seconds"]) == (4, total)
    assert {"Preprocess", "Train"} < set(document["unknown"])


def test_without_a_region_the_plan_is_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    answer = typed("plan", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.document["source"] == "the settings, as nothing is deployed"


def test_rows_estimate_the_work_and_an_option_replaces_a_start_up_time(empty: Cloud) -> None:
    answer = typed("plan", "--rows", "1000000", "--start-up", "endpoint=60", "--json")
    phases = {phase["name"]: phase for phase in answer.document["phases"]}
    assert phases["Deploy/UpdateEndpoint"]["start_up"] == answer.document["start_up"]["endpoint"] == 60
    assert all(phases[name]["work"] > 0 for name in ("Preprocess", "Train", "ScoreHoldout", "Evaluate"))
    text = typed("plan", "--rows", "1000000").out
    assert "work: of 1,000,000 rows by docs/performance.md\n" in text
    assert "total: at least " in text


@pytest.mark.parametrize("wrong", ["endpoint", "endpoint=soon", "disk=3", "endpoint=-1"])
def test_a_wrong_start_up_time_is_refused_with_the_right_form(empty: Cloud, wrong: str) -> None:
    answer = typed("plan", "--start-up", wrong)
    assert answer.code == 2
    assert "KIND=SECONDS" in answer.err
    assert all(kind in answer.err for kind in START_UP)


def test_a_deleted_state_machine_is_named(broken: Cloud) -> None:
    answer = typed("plan")
    assert (answer.code, answer.out) == (1, "")
    assert "stateMachine:gone" in answer.err


def test_a_deployed_pipeline_is_planned_by_its_machines_and_its_last_run(live: Deployed) -> None:
    document = typed("plan", "--json").document
    assert document["source"] == "the deployed state machines"
    phases = {phase["name"]: phase for phase in document["phases"]}
    assert document["job_starts"] == 4
    assert 0 < phases["Preprocess"]["work"] < 60
    assert phases["Deploy/UpdateEndpoint"]["work"] == 300
    assert phases["Train"]["start_up"] == START_UP["training"]
    assert document["run"] in typed("plan").out
