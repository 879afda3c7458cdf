"""Alarms, their runbook and the dashboard, in the template."""

import json
import re

from lambdas.finish.outcome import NEXT
from tests.cdk.conftest import Template, of_type
from tests.conftest import ROOT

ALARMS = {"5xx", "latency", "run-failed", "api-5xx", "lambda-errors", "queue-age", "dead-letters", "drift"}


def test_every_alarm_notifies_the_topic_and_names_its_section_of_the_runbook(template: Template) -> None:
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    alarms = [alarm for kind in kinds for alarm in of_type(template, kind).values()]
    runbook = (ROOT / "docs/runbook.md").read_text()
    sections = {heading.lower() for heading in re.findall(r"^#+ (\S+)$", runbook, re.M)}
    names = {alarm["AlarmName"].removeprefix("breast-cancer-"): alarm for alarm in alarms}
    for name, alarm in names.items():
        assert alarm["AlarmDescription"].endswith(f": docs/runbook.md#{name}")
        assert name in sections
        assert [list(action) for action in alarm["AlarmActions"]] == [["Ref"]]
    assert set(names) == ALARMS | {"drift-failed", "predictions-failing"}


def test_predictions_fail_when_the_endpoint_the_api_or_the_lambda_does(template: Template) -> None:
    (composite,) = of_type(template, "AWS::CloudWatch::CompositeAlarm").values()
    text = json.dumps(composite["AlarmRule"])
    assert text.count("ALARM(") == 3
    for alarm in ("LiveEndpointErrors", "ObservabilityApi5Xx", "ObservabilityLambdaErrors"):
        assert alarm in text


def test_the_dashboard_shows_runs_endpoint_api_queue_drift_and_cost(template: Template) -> None:
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    assert dashboard["DashboardName"] == "breast-cancer-us-east-1"  # a dashboard has no region
    text = json.dumps(dashboard["DashboardBody"])
    runs = ("ExecutionsStarted", "Accepted", "Rejected", "ExecutionsFailed", "ExecutionTime", "LargestPSI")
    endpoint = ("ModelLatency", "Invocation4XXErrors", "Invocation5XXErrors", "CPUUtilization")
    for metric in (*runs, *endpoint, "5XXError", "ApproximateAgeOfOldestMessage", "EstimatedCharges"):
        assert metric in text, metric


def test_outcomes_are_counted_from_the_lines_that_finish_logs(template: Template) -> None:
    filters = [item["FilterPattern"] for item in of_type(template, "AWS::Logs::MetricFilter").values()]
    outcomes = ("accepted", "rejected")
    assert filters == [f'{{ ($.machine = "retrain") && ($.outcome = "{outcome}") }}' for outcome in outcomes]
    assert set(outcomes) <= set(NEXT)


def test_the_budget_notifies_the_topic(template: Template) -> None:
    (budget,) = of_type(template, "AWS::Budgets::Budget").values()
    assert (budget["Budget"]["BudgetName"], budget["Budget"]["BudgetLimit"]["Amount"]) == (
        "breast-cancer-us-east-1",
        50,
    )
    (topic,) = of_type(template, "AWS::SNS::Topic")
    alerts = {
        each["Notification"]["NotificationType"]: [each["Notification"]["Threshold"], each["Subscribers"][0]["Address"]]
        for each in budget["NotificationsWithSubscribers"]
    }
    assert alerts == {"ACTUAL": [80, {"Ref": topic}], "FORECASTED": [100, {"Ref": topic}]}


def test_the_email_of_the_settings_subscribes_to_the_notifications(protected: Template) -> None:
    (subscription,) = of_type(protected, "AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "team@example.com")
