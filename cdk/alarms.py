"""The form of all alarms: one period at or above the threshold. No data is no fault."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from pipeline.states.autoscaling import VARIANT

Label = tuple[str | None, str | None]
"""An alarm's name and description."""


def alarm(
    scope: Construct,
    construct_id: str,
    metric: cloudwatch.IMetric,
    threshold: float = 1,
    labelled: Label = (None, None),
) -> cloudwatch.Alarm:
    """Return the alarm, by default with a name that CloudFormation makes."""
    return cloudwatch.Alarm(
        scope,
        construct_id,
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
    project: str, name: str, statistic: str, *, namespace: str = "AWS/SageMaker", period: Duration | None = None
) -> cloudwatch.Metric:
    """Return a metric of the endpoint, which has the project's name."""
    variant = {"EndpointName": project, "VariantName": VARIANT}
    return cloudwatch.Metric(
        namespace=namespace, metric_name=name, dimensions_map=variant, statistic=statistic, period=period
    )
