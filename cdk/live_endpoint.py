"""The live endpoint, which deployments make at run time: its alarms, and the Lambdas that wait for it and clean up."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk import permissions
from cdk.functions import function, package
from pipeline.states.autoscaling import VARIANT

SLOW_MICROSECONDS = 1_000_000
"""A second for a row of a linear model is a fault; ModelLatency is measured in microseconds (CloudWatch metrics)."""


class LiveEndpoint(Construct):
    """The alarms roll a deployment back; `function` is FindChampion and WaitForEndpoint, `cleanup` is Cleanup."""

    def __init__(self, scope: Construct, construct_id: str, *, project: str, endpoint_name: str) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        self._name = endpoint_name
        self.error_alarm = self._alarm("Errors", f"{project}-5xx", "Invocation5XXErrors", "Sum", 1)
        self.latency_alarm = self._alarm("Latency", f"{project}-latency", "ModelLatency", "p99", SLOW_MICROSECONDS)
        self.function = function(
            self,
            "Endpoint",
            code=package("endpoint"),
            handler="endpoint.handler.handle",
            environment={"ENDPOINT_NAME": endpoint_name},
            timeout=Duration.seconds(30),
            allowed=[
                *permissions.describe_endpoint(stack, project, endpoint_name),
                permissions.describe_alarms(self.error_alarm, self.latency_alarm),
            ],
        )
        self.cleanup = function(
            self,
            "Cleanup",
            code=package("cleanup"),
            handler="cleanup.handler.handle",
            environment={"PROJECT": project, "ENDPOINT_NAME": endpoint_name},
            timeout=Duration.minutes(2),
            allowed=permissions.cleanup(stack, project, endpoint_name),
        )

    def _alarm(self, construct_id: str, name: str, metric: str, statistic: str, threshold: float) -> cloudwatch.Alarm:
        """One period of 60 s at or over the threshold; no traffic is no fault."""
        measured = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=metric,
            dimensions_map={"EndpointName": self._name, "VariantName": VARIANT},
            statistic=statistic,
            period=Duration.minutes(1),
        )
        return cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=name,
            alarm_description=f"{metric} of the live model: docs/runbook.md#{name.removeprefix(f'{self._name}-')}",
            metric=measured,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
