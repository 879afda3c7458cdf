"""The form of all alarms: one period at or above the threshold. No data is no fault."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from pipeline.states.autoscaling import VARIANT

Label = tuple[str | None, str | None]
"""An alarm's name and description."""


def alarm(
    scope: Construct, name: str, metric: cloudwatch.IMetric, threshold: int = 1, labelled: Label = (None, None)
) -> cloudwatch.Alarm:
    """Return the alarm whose construct has this name; without a label, CloudFormation makes the alarm's name."""
    return cloudwatch.Alarm(
        scope,
        name,
        metric=metric,
        threshold=threshold,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_name=labelled[0],
        alarm_description=labelled[1],
    )


def label(project: str, name: str, meaning: str) -> Label:
    """Return the label of a project's alarm; the description names the section of the runbook."""
    return f"{project}-{name}", f"{meaning}: docs/runbook.md#{name}"


def endpoint_metric(
    project: str, name: str, statistic: str, namespace: str = "AWS/SageMaker", period: Duration | None = None
) -> cloudwatch.Metric:
    """Return a metric of the endpoint, which has the project's name."""
    variant = {"EndpointName": project, "VariantName": VARIANT}
    return cloudwatch.Metric(
        namespace=namespace, metric_name=name, dimensions_map=variant, statistic=statistic, period=period
    )
