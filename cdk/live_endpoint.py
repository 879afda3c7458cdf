"""The live endpoint, which deployments make at run time: its alarms, and the Lambdas that wait for it and clean up."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk.functions import function
from cdk.permissions import allow, granted
from pipeline.config import Settings


def alarm(
    scope: Construct, name: str, metric: cloudwatch.IMetric, threshold: int = 1, **named: Any
) -> cloudwatch.Alarm:
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
    project: str, name: str, statistic: str, namespace: str = "AWS/SageMaker"
) -> cloudwatch.MathExpression:
    """Return a metric of the endpoint, which has the project's name, for a graph: a line per production variant."""
    dimensions = f"{{{namespace},EndpointName,VariantName}}"
    search = f"SEARCH('{dimensions} EndpointName=\"{project}\" MetricName=\"{name}\"', '{statistic}')"
    return cloudwatch.MathExpression(expression=search, using_metrics={}, label="")


def watched_metric(project: str, name: str, function: str) -> cloudwatch.MathExpression:
    """Return a metric of the endpoint over all its variants, for an alarm: variants are named after signatures.

    An alarm takes no SEARCH. Metrics Insights, which it takes, has no percentiles.
    """
    schema = 'SCHEMA("AWS/SageMaker", EndpointName, VariantName)'
    query = [f"SELECT {function}({name})", f"FROM {schema}", f"WHERE EndpointName = '{project}'"]
    return cloudwatch.MathExpression(
        expression=" ".join(query), using_metrics={}, label=name, period=Duration.minutes(1)
    )


class LiveEndpoint(Construct):
    """The alarms roll a deployment back; `function` is FindChampion and WaitForEndpoint, `cleanup` is Cleanup."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "LiveEndpoint")
        project = settings.project.name
        errors = watched_metric(project, "Invocation5XXErrors", "SUM")
        latency = watched_metric(project, "ModelLatency", "AVG")
        failing = label(project, "5xx", "Invocation5XXErrors of the live model")
        slow = label(project, "latency", "ModelLatency of the live model")
        self.error_alarm = alarm(self, "Errors", errors, 1, **failing)
        microseconds = 1000 * settings.endpoint.latency_ms
        self.latency_alarm = alarm(self, "Latency", latency, microseconds, **slow)
        self.alarms = [self.error_alarm.alarm_arn, self.latency_alarm.alarm_arn]
        # After a rollback, the Lambda names the alarm that caused it.
        package = granted(self, "endpoint_package", project) if settings.score.enabled else []
        allowed = [*granted(self, "endpoint", project), *package, allow("cloudwatch:DescribeAlarms", *self.alarms)]
        self.function = function(self, "Endpoint", "endpoint", environment={"ENDPOINT_NAME": project}, allowed=allowed)
        names = {"ENDPOINT_NAME": project, "OWN_NAMES": settings.project.made}
        allowed, timeout = granted(self, "cleanup", project), Duration.minutes(2)
        self.cleanup = function(self, "Cleanup", "cleanup", environment=names, timeout=timeout, allowed=allowed)
