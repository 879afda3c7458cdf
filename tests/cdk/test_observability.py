"""Alarms, their runbook and the dashboard, in the template."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cdk.app import build
from pipeline import workflow
from pipeline.config import load

ROOT = Path(__file__).parents[2]
ALARMS = {
    "5xx",
    "latency",
    "run-failed",
    "api-5xx",
    "lambda-errors",
    "queue-age",
    "dead-letters",
    "drift",
    "drift-failed",
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("cdk.out")
    build(load(ROOT / "pipeline.toml"), region="us-east-1", out=out).synth()
    return list(json.loads((out / "breast-cancer.template.json").read_text())["Resources"].values())


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in resources if item["Type"] == kind]


def test_every_alarm_tells_the_topic_and_leads_to_its_section_of_the_runbook(resources: list[dict[str, Any]]) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm") + of_type(resources, "AWS::CloudWatch::CompositeAlarm")
    runbook = (ROOT / "docs/runbook.md").read_text()
    sections = {heading.lower() for heading in re.findall(r"^#+ (\S+)$", runbook, re.M)}
    names = set()
    for alarm in alarms:
        name = alarm["AlarmName"].removeprefix("breast-cancer-")
        names.add(name)
        assert alarm["AlarmDescription"].endswith(f": docs/runbook.md#{name}")
        assert name in sections
        assert [list(action) for action in alarm["AlarmActions"]] == [["Ref"]]
    assert names == ALARMS | {"predictions-failing"}


def test_no_data_is_no_alarm(resources: list[dict[str, Any]]) -> None:
    assert {alarm["TreatMissingData"] for alarm in of_type(resources, "AWS::CloudWatch::Alarm")} == {"notBreaching"}


def test_predictions_fail_when_the_endpoint_the_api_or_the_lambda_does(resources: list[dict[str, Any]]) -> None:
    (composite,) = of_type(resources, "AWS::CloudWatch::CompositeAlarm")
    text = json.dumps(composite["AlarmRule"])
    assert text.count("ALARM(") == 3
    assert "PromotionErrors" in text
    assert "ObservabilityApi5Xx" in text
    assert "ObservabilityLambdaErrors" in text


def test_the_dashboard_shows_runs_endpoint_api_queue_drift_and_cost(resources: list[dict[str, Any]]) -> None:
    (dashboard,) = of_type(resources, "AWS::CloudWatch::Dashboard")
    text = json.dumps(dashboard["DashboardBody"])
    for word in (
        "ExecutionsStarted", "Accepted", "Rejected", "ExecutionsFailed", "ExecutionTime", "ModelLatency", "Invocation4XXErrors",
        "Invocation5XXErrors", "CPUUtilization", "5XXError", "ApproximateAgeOfOldestMessage", "LargestPSI", "EstimatedCharges",
    ):  # fmt: skip
        assert word in text, word


def test_outcomes_are_counted_by_states_that_the_definition_has(resources: list[dict[str, Any]]) -> None:
    filters = of_type(resources, "AWS::Logs::MetricFilter")
    named = {match for item in filters for match in re.findall(r'\$\.details\.name = "(\w+)"', item["FilterPattern"])}
    assert named == {"Accepted", "Rejected"}
    assert named <= set(workflow.definition(load(ROOT / "pipeline.toml"))["States"])
