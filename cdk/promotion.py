"""What a safe promotion needs beside the state machine: the registry's group, the rollout's alarms, and the tidying."""

from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk import permissions
from cdk.functions import function

LAMBDAS = Path(__file__).parent.parent / "lambdas"
SLOW_MICROSECONDS = 1_000_000
"""A second for a row of a linear model is a fault; ModelLatency is measured in microseconds (CloudWatch metrics)."""


class Promotion(Construct):
    """The model package group, the alarms that roll a deployment back, and the Lambda that deletes old models."""

    def __init__(self, scope: Construct, construct_id: str, *, project: str, endpoint_name: str) -> None:
        super().__init__(scope, construct_id)
        self.packages = sagemaker.CfnModelPackageGroup(
            self,
            "Packages",
            model_package_group_name=project,
            model_package_group_description=f"Every model that a run of {project} trained",
        )
        # It has a name of its own: kept, it would be in the way of the next stack. `make destroy` empties it.
        self.packages.apply_removal_policy(RemovalPolicy.DESTROY)
        self.error_alarm = self._alarm(
            "Errors", f"{project}-5xx", endpoint_name, "Invocation5XXErrors", "Sum", threshold=1
        )
        self.latency_alarm = self._alarm(
            "Latency", f"{project}-latency", endpoint_name, "ModelLatency", "p99", threshold=SLOW_MICROSECONDS
        )
        self.tidy = self._tidy(project, endpoint_name)

    def _alarm(
        self, construct_id: str, name: str, endpoint: str, metric: str, statistic: str, *, threshold: float
    ) -> cloudwatch.Alarm:
        """One period of 60 s at or over the threshold; no traffic is no fault."""
        measured = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=metric,
            dimensions_map={"EndpointName": endpoint, "VariantName": "AllTraffic"},
            statistic=statistic,
            period=Duration.minutes(1),
        )
        return cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=name,
            alarm_description=f"{metric} of the live model: docs/runbook.md#{name.removeprefix(f'{endpoint}-')}",
            metric=measured,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _tidy(self, project: str, endpoint: str) -> lambda_.Function:
        return function(
            self,
            "Tidy",
            code=lambda_.Code.from_asset(str(LAMBDAS), exclude=["*", "!tidy", "!tidy/*.py"]),
            handler="tidy.handler.handle",
            environment={"PROJECT": project, "ENDPOINT_NAME": endpoint},
            timeout=Duration.minutes(2),
            allowed=permissions.tidy(Stack.of(self), project, endpoint),
        )
