"""The canary deployment of the API's Lambda: 10 % of the calls for 5 minutes, rolled back on an alarm."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.alarms import alarm


def add_canary(scope: Construct, function: lambda_.Function, api_name: str, stage: str) -> lambda_.Alias:
    """Return the alias `live`, which CodeDeploy moves to a new version unless an alarm fires.

    The function answers every failure as a problem: its errors are crashes, all other failures are 5xx of the API.
    """
    alias = lambda_.Alias(scope, "Live", alias_name="live", version=function.current_version)
    dimensions = {"ApiName": api_name, "Stage": stage}
    api_errors = cloudwatch.Metric(namespace="AWS/ApiGateway", metric_name="5XXError", dimensions_map=dimensions)
    metrics = {"Crashes": alias.metric_errors(), "ApiErrors": api_errors, "Throttles": alias.metric_throttles()}
    minute = Duration.minutes(1)
    alarms = [alarm(scope, name, metric.with_(statistic="Sum", period=minute)) for name, metric in metrics.items()]
    codedeploy.LambdaDeploymentGroup(
        scope,
        "Rollout",
        alias=alias,
        deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
        alarms=alarms,
        auto_rollback=codedeploy.AutoRollbackConfig(failed_deployment=True, deployment_in_alarm=True),
    )
    return alias
