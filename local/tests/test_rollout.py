"""Deployment guardrails: canary and linear traffic over real processes, alarms on real metrics, and rollbacks."""

import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_aws.sagemaker.api.errors import ValidationException
from local_aws.sagemaker.hosting.rollout import Plan

from .aws import Aws, alarm_request, refused, unique, until

DEPLOYMENTS = tomllib.loads(Path(__file__).with_name("deployments.toml").read_text(encoding="utf-8"))
ONE = {"Type": "INSTANCE_COUNT", "Value": 1}
ROLLED_BACK = 'The deployment was rolled back. The CloudWatch alarm "{}" '


def deployment(
    kind: str = "ALL_AT_ONCE", wait: int = 0, *alarms: str, termination: int = 0, limit: int = 0, **size: Any
) -> dict[str, Any]:
    """A DeploymentConfig; `limit` is its MaximumExecutionTimeoutInSeconds."""
    policy = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **size},
        "TerminationWaitInSeconds": termination,
        **({"MaximumExecutionTimeoutInSeconds": limit} if limit else {}),
    }
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": policy, **rollback}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def dimensions(endpoint: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]


def alarm(aws: Aws, endpoint: str, metric: str, **members: Any) -> str:
    """The name of a new alarm on a metric of an endpoint."""
    name = unique(metric)
    sagemaker = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions(endpoint)}
    request = alarm_request(name, **sagemaker, TreatMissingData="notBreaching", **members)
    aws.client("cloudwatch").put_metric_alarm(**request)
    return name


def states(aws: Aws, *alarms: str) -> dict[str, str]:
    """The states of alarms by name."""
    found = aws.client("cloudwatch").describe_alarms(AlarmNames=list(alarms))["MetricAlarms"]
    return {entry["AlarmName"]: entry["StateValue"] for entry in found}


def variant_status(description: dict[str, Any]) -> dict[str, Any]:
    """The status of the variant in an endpoint's pending deployment."""
    (variant,) = description["PendingDeploymentSummary"]["ProductionVariants"]
    return dict(variant["VariantStatus"][0])


def update(aws: Aws, endpoint: str, new: str, plan: dict[str, Any]) -> tuple[Counter[str], list[str], dict[str, Any]]:
    """Update an endpoint under traffic. Returns answers by their labels, the stages, and the description at the end."""
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=plan)
    answers: Counter[str] = Counter()
    stages: list[str] = []
    while (found := aws.described(endpoint))["EndpointStatus"] != "InService":
        stage = variant_status(found)["Status"]
        if stages[-1:] != [stage]:
            stages.append(stage)
        for _ in range(10):
            try:
                answers[aws.invoke(endpoint, "1").partition(":")[0]] += 1
            except aws.runtime.exceptions.ModelError:
                answers["refused"] += 1
    return answers, stages, found


def test_a_canary_takes_exactly_its_share_and_then_everything(aws: Aws) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    plan = deployment("CANARY", 90, CanarySize=percent(20))  # nine seconds here, enough for all requests
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=plan)
    found = until(lambda: aws.described(endpoint), lambda found: variant_status(found)["Status"] == "Baking")
    assert found["EndpointStatus"] == "Updating"
    assert found["EndpointConfigName"] != new == found["PendingDeploymentSummary"]["EndpointConfigName"]
    message = "Baking for 90 seconds (WaitIntervalInSeconds) with 20% of the traffic on the new fleet."
    assert variant_status(found)["StatusMessage"] == message
    assert Counter(aws.invoke(endpoint, "1") for _ in range(100)) == {"old:1": 80, "new:1": 20}
    found = aws.settled(endpoint)
    assert (found["EndpointConfigName"], found["LastDeploymentConfig"]) == (new, plan)
    assert "PendingDeploymentSummary" not in found and "FailureReason" not in found
    assert {aws.invoke(endpoint, "1") for _ in range(10)} == {"new:1"}


def test_a_linear_update_takes_over_step_by_step_without_losing_a_request(aws: Aws) -> None:
    endpoint, new = aws.endpoint("old"), aws.endpoint_config("new")
    plan = deployment("LINEAR", 3, LinearStepSize=percent(50), termination=3)
    answers, stages, found = update(aws, endpoint, new, plan)
    assert found["EndpointConfigName"] == new
    assert set(answers) == {"old", "new"}
    assert (stages[0], stages[-1]) == ("Creating", "Baking")


def test_errors_of_the_canary_bring_the_old_config_back(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    old = aws.described(endpoint)["EndpointConfigName"]
    errors, quiet = (alarm(aws, endpoint, f"Invocation{kind}Errors") for kind in ("5XX", "4XX"))
    new = aws.endpoint_config("new", BROKEN="500")
    answers, _, found = update(aws, endpoint, new, deployment("CANARY", 600, quiet, errors, CanarySize=percent(10)))
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", old)
    assert found["FailureReason"] in {
        ROLLED_BACK.format(errors) + "went into ALARM state. Threshold Crossed: Sum of Invocation5XXErrors is "
        f"{number}, GreaterThanThreshold 0 is true."
        for number in range(1, answers["refused"] + 1)
    }
    assert "PendingDeploymentSummary" not in found
    assert 0 < answers["refused"] <= 0.1 * answers.total() + 1
    assert [aws.invoke(endpoint, "1") for _ in range(20)] == ["old:1"] * 20
    assert states(aws, errors, quiet) == {errors: "ALARM", quiet: "OK"}


def test_errors_before_an_update_do_not_roll_it_back(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    errors = alarm(aws, endpoint, "Invocation5XXErrors")
    with pytest.raises(aws.runtime.exceptions.ModelError):
        aws.invoke(endpoint, "break")
    until(lambda: states(aws, errors) == {errors: "ALARM"})
    new = aws.endpoint_config("new")
    _, _, found = update(aws, endpoint, new, deployment("ALL_AT_ONCE", 0, errors, termination=3))
    assert found["EndpointConfigName"] == new
    assert states(aws, errors) == {errors: "OK"}


def test_a_slow_model_trips_the_latency_alarm(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    slow = alarm(aws, endpoint, "ModelLatency", ExtendedStatistic="p99", Threshold=200_000)
    new = aws.endpoint_config("new", DELAY="0.3")
    _, _, found = update(aws, endpoint, new, deployment("CANARY", 600, slow, CanarySize=percent(50)))
    reason = ROLLED_BACK.format(slow) + "went into ALARM state. Threshold Crossed: p99"
    assert found["FailureReason"].startswith(reason)


def test_any_other_alarm_counts_by_its_state_and_a_missing_one_is_named(aws: Aws) -> None:
    endpoint, cloudwatch, new = aws.endpoint("old"), aws.client("cloudwatch"), aws.endpoint_config("new")
    name = unique("business")
    cloudwatch.put_metric_alarm(**alarm_request(name, Namespace="Shop", MetricName="Refunds"))
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="an operator says so")
    missing = "of AutoRollbackConfiguration does not exist."
    for alarm_name, reason in {name: "went into ALARM state. an operator says so", "nothing": missing}.items():
        found = aws.update(endpoint, new, DeploymentConfig=deployment("ALL_AT_ONCE", 0, alarm_name))
        assert found["FailureReason"] == ROLLED_BACK.format(alarm_name) + reason


def test_an_alarm_sees_the_points_of_its_dimensions_only(aws: Aws) -> None:
    cloudwatch, name, states = aws.client("cloudwatch"), unique("alarm"), []
    where = {place: [{"Name": "Place", "Value": f"{name}-{place}"}] for place in ("here", "there")}
    watched = {"Namespace": "Shop", "MetricName": "Losses", "Dimensions": where["here"], "Threshold": 1, "Period": 60}
    cloudwatch.put_metric_alarm(**alarm_request(name, **watched))
    for place in ("there", "here"):
        point = {"MetricName": "Losses", "Value": 5, "Dimensions": where[place]}
        cloudwatch.put_metric_data(Namespace="Shop", MetricData=[point])
        states += [alarm["StateValue"] for alarm in cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]]
    assert states == ["INSUFFICIENT_DATA", "ALARM"]


def test_endpoints_publish_their_metrics(aws: Aws) -> None:
    endpoint = aws.endpoint("m")
    for body in ("1", "2", "bad", "break"):
        try:
            aws.invoke(endpoint, body)
        except aws.runtime.exceptions.ModelError:
            continue
    now = datetime.now(UTC)

    def total(metric: str, statistic: str = "Sum") -> float:
        place = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions(endpoint)}
        span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5), "Period": 3600}
        found = aws.client("cloudwatch").get_metric_statistics(**place, **span, Statistics=[statistic])
        return float(sum(point[statistic] for point in found["Datapoints"]))

    until(lambda: total("Invocations") == 4)
    names = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert [total(name) for name in names] == [1, 1, 2]
    assert total("Invocation5XXErrors", "SampleCount") == 4
    assert 0 < total("ModelLatency", "Maximum") < 5e6
    assert 0 < total("OverheadLatency", "Maximum") < 5e6


def test_an_update_can_retain_the_instance_count_and_the_deployment_config(aws: Aws) -> None:
    endpoint, plan = aws.endpoint("two", count=2), deployment("CANARY", 0, CanarySize=percent(50))
    found = aws.update(endpoint, aws.endpoint_config("one"), RetainAllVariantProperties=True, DeploymentConfig=plan)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    excluded = [{"VariantPropertyType": "DesiredInstanceCount"}]
    more = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}
    found = aws.update(endpoint, aws.endpoint_config("last"), RetainDeploymentConfig=True, **more)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert found["LastDeploymentConfig"] == plan


def test_shares_of_each_kind() -> None:
    assert Plan.of(None, 1) == Plan()
    assert Plan.of(deployment(), 1).shares == (1.0,)
    assert Plan.of(deployment("CANARY", 7, "a", CanarySize=ONE), 4) == Plan((0.25, 1.0), 7, 0, 28800, ("a",))
    assert Plan.of(deployment("LINEAR", 7, LinearStepSize=percent(30)), 1).shares == pytest.approx((0.3, 0.6, 0.9, 1))
    assert Plan.of(deployment("LINEAR", 7, LinearStepSize=ONE), 4).shares == (0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize("case", DEPLOYMENTS["refused"])
def test_a_deployment_that_aws_refuses_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ValidationException) as caught:
        Plan.of(case["plan"], 3)
    assert caught.value.message == case["message"]


def test_the_api_model_limits_a_deployment(aws: Aws) -> None:
    alarms = (f"a{number}" for number in range(11))
    plan = deployment("CANARY", 3601, *alarms, limit=599, CanarySize=percent(10))
    update_endpoint = aws.client("sagemaker", parameter_validation=False).update_endpoint
    _, message = refused(update_endpoint, EndpointName="any", EndpointConfigName="any", DeploymentConfig=plan)
    assert message.startswith("3 validation errors detected: ")


def test_an_alarm_of_a_metrics_insights_query_is_over_all_variants_of_its_endpoint(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    query = 'SELECT SUM(Invocation4XXErrors) FROM SCHEMA("AWS/SageMaker", EndpointName, VariantName) '
    metric = {"Id": "all", "Expression": f"{query}WHERE EndpointName = '{endpoint}'", "Period": 60}
    name = unique("insights")
    properties = {
        "AlarmName": name,
        "Metrics": [metric],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    assert aws.stack(unique("insights"), {"Alarm": alarm})["StackStatus"] == "CREATE_COMPLETE"
    aws.invoke(endpoint, "1")
    until(lambda: states(aws, name) == {name: "OK"})
    refused(aws.invoke, endpoint, "bad")
    until(lambda: states(aws, name) == {name: "ALARM"})
