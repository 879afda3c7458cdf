"""Alarms, their runbook and the budget, in the template."""

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


def test_the_latency_alarm_has_the_settings_limit(template: Template, protected: Template) -> None:
    alarms = [alarm for each in (template, protected) for alarm in of_type(each, "AWS::CloudWatch::Alarm").values()]
    limits = [alarm["Threshold"] for alarm in alarms if alarm.get("AlarmName", "").endswith("-latency")]
    assert limits == [1_000_000, 250_000]  # microseconds


def test_outcomes_are_counted_from_the_lines_that_finish_logs(template: Template) -> None:
    filters = [item["FilterPattern"] for item in of_type(template, "AWS::Logs::MetricFilter").values()]
    outcomes = ("accepted", "rejected")
    assert filters == [f'{{ ($.machine = "retrain") && ($.outcome = "{outcome}") }}' for outcome in outcomes]
    assert set(outcomes) <= set(NEXT)


def test_the_budget_notifies_the_topic(template: Template) -> None:
    (budget,) = of_type(template, "AWS::Budgets::Budget").values()
    shown = budget["Budget"]
    assert (shown["BudgetName"], shown["BudgetLimit"]["Amount"]) == ("breast-cancer-us-east-1", 50)
    (topic,) = of_type(template, "AWS::SNS::Topic")
    alerts = [(each["Notification"], each["Subscribers"][0]) for each in budget["NotificationsWithSubscribers"]]
    found = {when["NotificationType"]: (when["Threshold"], to["Address"]) for when, to in alerts}
    assert found == {"ACTUAL": (80, {"Ref": topic}), "FORECASTED": (100, {"Ref": topic})}


def test_the_email_of_the_settings_subscribes_to_the_notifications(protected: Template) -> None:
    (subscription,) = of_type(protected, "AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "team@example.com")
