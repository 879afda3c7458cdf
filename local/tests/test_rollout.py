"""Deployment guardrails: canary and linear traffic over real processes, alarms on real metrics, and the way back."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from local_aws.sagemaker.api.errors import ValidationException
from local_aws.sagemaker.hosting.rollout import Plan

from .aws import Aws, unique, until

CLOUD = pytest.mark.cloud


def deployment(
    kind: str = "ALL_AT_ONCE", wait: int = 0, *alarms: str, termination: int = 0, **size: Any
) -> dict[str, Any]:
    policy = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **size},
        "TerminationWaitInSeconds": termination,
    }
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": policy, **rollback}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def alarm(aws: Aws, endpoint: str, metric: str, threshold: float = 0, **members: Any) -> str:
    """An alarm that trips when the metric's sum (or what `members` say) is greater than the threshold."""
    name = unique(metric)
    dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
    request = {
        "AlarmName": name,
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **(members or {"Statistic": "Sum"}),
    }
    aws.client("cloudwatch").put_metric_alarm(**request)
    return name


@dataclass
class Seen:
    """What callers got while an update went on."""

    answers: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(answer.partition(":")[0] for answer in self.answers))


def update(
    aws: Aws, endpoint: str, config: str, plan: dict[str, Any] | None, body: str = "1", **more: Any
) -> tuple[Seen, Any]:
    """Update an endpoint under traffic; what was seen meanwhile, and its description at the end."""
    given = {"DeploymentConfig": plan} if plan else {}
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **given, **more)
    seen = Seen()
    while True:
        found = aws.sagemaker.describe_endpoint(EndpointName=endpoint)
        if found["EndpointStatus"] == "InService":
            return seen, found
        (variant,) = found["PendingDeploymentSummary"]["ProductionVariants"]
        stage = variant["VariantStatus"][0]["Status"]
        if seen.stages[-1:] != [stage]:
            seen.stages.append(stage)
        for _ in range(10):
            try:
                seen.answers.append(aws.invoke(endpoint, body))
            except aws.runtime.exceptions.ModelError:
                seen.answers.append("refused")


@CLOUD
def test_a_canary_takes_exactly_its_share_and_then_everything(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    new = aws.endpoint_config("new")
    plan = deployment("CANARY", 30, CanarySize=percent(20))
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=plan)

    def baking() -> dict[str, Any] | None:
        found = aws.sagemaker.describe_endpoint(EndpointName=endpoint)
        (variant,) = found["PendingDeploymentSummary"]["ProductionVariants"]
        return dict(found) if variant["VariantStatus"][0]["Status"] == "Baking" else None

    found = until(baking)
    old = found["EndpointConfigName"]
    assert (found["EndpointStatus"], old != new, found["PendingDeploymentSummary"]["EndpointConfigName"]) == (
        "Updating",
        True,
        new,
    )
    status = found["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]
    assert status["StatusMessage"] == (
        "Baking for 30 seconds (WaitIntervalInSeconds) with 20% of the traffic on the new fleet."
    )
    answers = [aws.invoke(endpoint, "1") for _ in range(100)]
    assert Counter(answers) == {"old:1": 80, "new:1": 20}
    found = aws.settled(endpoint)
    assert (found["EndpointConfigName"], found["LastDeploymentConfig"]) == (new, plan)
    assert "PendingDeploymentSummary" not in found and "FailureReason" not in found
    assert {aws.invoke(endpoint, "1") for _ in range(10)} == {"new:1"}


@CLOUD
def test_a_linear_update_takes_over_step_by_step_without_losing_a_request(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    new = aws.endpoint_config("new")
    seen, found = update(aws, endpoint, new, deployment("LINEAR", 3, LinearStepSize=percent(50), termination=3))
    assert found["EndpointConfigName"] == new
    assert set(seen.counts) == {"old", "new"}
    assert (seen.stages[0], seen.stages[-1]) == ("Creating", "Baking")


@CLOUD
def test_errors_of_the_canary_bring_the_old_config_back(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    old = aws.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    errors = alarm(aws, endpoint, "Invocation5XXErrors")
    quiet = alarm(aws, endpoint, "Invocation4XXErrors")
    new = aws.endpoint_config("new", BROKEN="500")
    seen, found = update(aws, endpoint, new, deployment("CANARY", 600, quiet, errors, CanarySize=percent(10)))
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", old)
    count = seen.counts["refused"]  # of which the first few tripped the alarm
    assert found["FailureReason"] in {
        f'The deployment was rolled back. The CloudWatch alarm "{errors}" went into ALARM state. '
        f"Threshold Crossed: Sum of Invocation5XXErrors is {number}, GreaterThanThreshold 0 is true."
        for number in range(1, count + 1)
    }
    assert "PendingDeploymentSummary" not in found
    assert 0 < seen.counts["refused"] <= 0.1 * len(seen.answers) + 1
    assert [aws.invoke(endpoint, "1") for _ in range(20)] == ["old:1"] * 20
    states = aws.client("cloudwatch").describe_alarms(AlarmNames=[errors, quiet])["MetricAlarms"]
    assert {entry["AlarmName"]: entry["StateValue"] for entry in states} == {errors: "ALARM", quiet: "OK"}


@CLOUD
def test_what_tripped_an_alarm_before_does_not_stop_the_next_update(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    errors = alarm(aws, endpoint, "Invocation5XXErrors")
    with pytest.raises(aws.runtime.exceptions.ModelError):
        aws.invoke(endpoint, "break")
    until(
        lambda: (
            aws.client("cloudwatch").describe_alarms(AlarmNames=[errors], StateValue="ALARM")["MetricAlarms"] or None
        )
    )
    new = aws.endpoint_config("new")
    _, found = update(aws, endpoint, new, deployment("ALL_AT_ONCE", 0, errors, termination=3))
    assert found["EndpointConfigName"] == new
    state = aws.client("cloudwatch").describe_alarms(AlarmNames=[errors])["MetricAlarms"][0]["StateValue"]
    assert state == "OK"


@CLOUD
def test_a_slow_model_trips_the_latency_alarm(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    slow = alarm(aws, endpoint, "ModelLatency", 200_000, ExtendedStatistic="p99")
    new = aws.endpoint_config("new", DELAY="0.3")
    plan = deployment("CANARY", 600, slow, CanarySize=percent(50))
    _, found = update(aws, endpoint, new, plan)
    assert found["FailureReason"].startswith(
        f'The deployment was rolled back. The CloudWatch alarm "{slow}" went into ALARM state. Threshold Crossed: p99'
    )


@CLOUD
def test_any_other_alarm_counts_by_its_state_and_a_missing_one_is_named(aws: Aws) -> None:
    endpoint, cloudwatch = aws.endpoint("old"), aws.client("cloudwatch")
    name = unique("business")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Shop",
        MetricName="Refunds",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="somebody says so")
    new = aws.endpoint_config("new")
    _, found = update(aws, endpoint, new, deployment("ALL_AT_ONCE", 0, name))
    assert found["FailureReason"] == (
        f'The deployment was rolled back. The CloudWatch alarm "{name}" went into ALARM state. somebody says so'
    )
    _, found = update(aws, endpoint, new, deployment("ALL_AT_ONCE", 0, "nothing"))
    assert found["FailureReason"] == (
        'The deployment was rolled back. The CloudWatch alarm "nothing" of AutoRollbackConfiguration does not exist.'
    )


@CLOUD
def test_endpoints_publish_their_metrics(aws: Aws) -> None:
    endpoint = aws.endpoint("m")
    for body in ("1", "2", "bad", "break"):
        try:
            aws.invoke(endpoint, body)
        except aws.runtime.exceptions.ModelError:
            continue
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    now = datetime.now(UTC)

    def total(metric: str, statistic: str = "Sum") -> float:
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=dimensions,
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(point[statistic] for point in points))

    until(lambda: True if total("Invocations") == 4 else None)
    names = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert [total(name) for name in names] == [1, 1, 2]
    assert total("Invocation5XXErrors", "SampleCount") == 4
    assert 0 < total("ModelLatency", "Maximum") < 5e6
    assert 0 < total("OverheadLatency", "Maximum") < 5e6


@CLOUD
def test_retained_variant_properties_keep_the_instance_count(aws: Aws) -> None:
    endpoint = aws.endpoint("two", count=2)
    new = aws.endpoint_config("one", count=1)
    _, found = update(aws, endpoint, new, None, RetainAllVariantProperties=True)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    excluded = [{"VariantPropertyType": "DesiredInstanceCount"}]
    last = aws.endpoint_config("last", count=1)
    more: dict[str, Any] = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}
    _, found = update(aws, endpoint, last, None, **more)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@CLOUD
def test_an_update_can_go_the_last_ones_way(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    plan = deployment("CANARY", 0, CanarySize=percent(50))
    update(aws, endpoint, aws.endpoint_config("new"), plan)
    _, found = update(aws, endpoint, aws.endpoint_config("newer"), None, RetainDeploymentConfig=True)
    assert found["LastDeploymentConfig"] == plan


def test_shares_of_each_kind() -> None:
    count = {"Type": "INSTANCE_COUNT", "Value": 1}
    assert Plan.of(None, 1) == Plan()
    assert Plan.of(deployment(), 1).shares == (1.0,)
    assert Plan.of(deployment("CANARY", 7, "a", CanarySize=count), 4) == Plan((0.25, 1.0), 7, 0, 28800, ("a",))
    assert Plan.of(deployment("LINEAR", 7, LinearStepSize=percent(30)), 1).shares == pytest.approx((0.3, 0.6, 0.9, 1))
    assert Plan.of(deployment("LINEAR", 7, LinearStepSize=count), 4).shares == (0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("plan", "refusal"),
    [
        (deployment("CANARY"), "TrafficRoutingConfiguration of type CANARY must have a CanarySize."),
        (
            deployment("CANARY", CanarySize=percent(60)),
            r"CanarySize must be at most 50% of the variant's total instance count \(3\); 60 as CAPACITY_PERCENT",
        ),
        (
            deployment("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 2}),
            "CanarySize must be at most 50% of .*; 2 as INSTANCE_COUNT is 67%",
        ),
        (deployment("LINEAR", LinearStepSize=percent(5)), "LinearStepSize must be 10-50% of"),
        (
            {
                "BlueGreenUpdatePolicy": {
                    **deployment("CANARY", 500, CanarySize=percent(10))["BlueGreenUpdatePolicy"],
                    "TerminationWaitInSeconds": 200,
                    "MaximumExecutionTimeoutInSeconds": 700,
                }
            },
            r"MaximumExecutionTimeoutInSeconds \(700\) must be larger than the total waiting time .* \(700\)",
        ),
        ({"RollingUpdatePolicy": {}}, "RollingUpdatePolicy does not run locally; use BlueGreenUpdatePolicy."),
    ],
)
def test_a_deployment_that_aws_refuses_is_refused(plan: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValidationException, match=refusal):
        Plan.of(plan, 3)


@CLOUD
def test_the_api_model_limits_a_deployment(aws: Aws) -> None:
    endpoint = aws.endpoint("old")
    config = aws.endpoint_config("new")
    plan = deployment("CANARY", 3601, *(f"a{number}" for number in range(11)), CanarySize=percent(10))
    plan["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 599
    client = aws.client("sagemaker", parameter_validation=False)
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=plan)
    assert caught.value.response["Error"]["Message"].startswith("3 validation errors detected: ")
