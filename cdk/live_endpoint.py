"""The live endpoint, which deployments make at run time: its alarms, and the Lambdas that wait for it and clean up."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk.functions import function
from cdk.permissions import allow, granted
from pipeline.settings import Project
from pipeline.states.endpoint import VARIANT

SLOW_MICROSECONDS = 1_000_000
"""One second per row is a fault of a linear model; ModelLatency is in microseconds (CloudWatch metrics)."""


def alarm(scope: Construct, name: str, metric: cloudwatch.Metric, threshold: int = 1, **named: Any) -> cloudwatch.Alarm:
    """Return the alarm whose construct has this name; without a label, CloudFormation makes the alarm's name."""
    return cloudwatch.Alarm(
        scope,
        name,
        metric=metric,
        threshold=threshold,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        **named,
    )


def label(project: str, name: str, meaning: str) -> dict[str, str]:
    """Return the name and the description of a project's alarm, which names the section of the runbook."""
    return {"alarm_name": f"{project}-{name}", "alarm_description": f"{meaning}: docs/runbook.md#{name}"}


def endpoint_metric(
    project: str, name: str, statistic: str, namespace: str = "AWS/SageMaker", period: Duration | None = None
) -> cloudwatch.Metric:
    """Return a metric of the endpoint, which has the project's name."""
    variant = {"EndpointName": project, "VariantName": VARIANT}
    return cloudwatch.Metric(
        namespace=namespace, metric_name=name, dimensions_map=variant, statistic=statistic, period=period
    )


class LiveEndpoint(Construct):
    """The alarms roll a deployment back; `function` is FindChampion and WaitForEndpoint, `cleanup` is Cleanup."""

    def __init__(self, scope: Construct, settings: Project) -> None:
        super().__init__(scope, "LiveEndpoint")
        project = settings.name
        minute = Duration.minutes(1)
        errors = endpoint_metric(project, "Invocation5XXErrors", "Sum", period=minute)
        latency = endpoint_metric(project, "ModelLatency", "p99", period=minute)
        failing = label(project, "5xx", "Invocation5XXErrors of the live model")
        slow = label(project, "latency", "ModelLatency of the live model")
        self.error_alarm = alarm(self, "Errors", errors, 1, **failing)
        self.latency_alarm = alarm(self, "Latency", latency, SLOW_MICROSECONDS, **slow)
        self.alarms = [self.error_alarm.alarm_arn, self.latency_alarm.alarm_arn]
        # After a rollback, the Lambda names the alarm that caused it.
        allowed = [*granted(self, "endpoint", project), allow("cloudwatch:DescribeAlarms", *self.alarms)]
        self.function = function(self, "Endpoint", "endpoint", environment={"ENDPOINT_NAME": project}, allowed=allowed)
        names, allowed = {"ENDPOINT_NAME": project, "OWN_NAMES": settings.made}, granted(self, "cleanup", project)
        timeout = Duration.minutes(2)
        self.cleanup = function(self, "Cleanup", "cleanup", environment=names, timeout=timeout, allowed=allowed)
