"""Protection by setting: AWS WAF with managed rules and a limit per address, and a canary of the API's Lambda."""

from typing import Any

from aws_cdk import CfnResource, Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.live_endpoint import alarm

MANAGED = [f"AWSManagedRules{name}" for name in ("AmazonIpReputationList", "KnownBadInputsRuleSet", "CommonRuleSet")]
COUNTED = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
"""Rules that only count. This one would block bodies over 8 KB; a batch of rows is larger, and max_bytes limits it."""


def add_web_acl(scope: Construct, stage: apigateway.Stage, rate: int) -> None:
    """Associate a web ACL with the stage; `rate` is the number of calls that one address may make in 5 minutes."""
    limit = {"AggregateKeyType": "IP", "Limit": rate, "EvaluationWindowSec": 300}
    rules = [_rule("rate", 0, {"RateBasedStatement": limit}, Action={"Block": {}})]
    for number, name in enumerate(MANAGED, 1):
        counted = [{"Name": rule, "ActionToUse": {"Count": {}}} for rule in COUNTED.get(name, ())]
        group = {"VendorName": "AWS", "Name": name, "RuleActionOverrides": counted}
        rules.append(_rule(name, number, {"ManagedRuleGroupStatement": group}, OverrideAction={"None": {}}))
    default = {"Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": _visibility("waf")}
    acl = CfnResource(scope, "WebAcl", type="AWS::WAFv2::WebACL", properties={**default, "Rules": rules})
    association = {"ResourceArn": stage.stage_arn, "WebACLArn": acl.get_att("Arn")}
    CfnResource(scope, "WebAclAssociation", type="AWS::WAFv2::WebACLAssociation", properties=association)


def _rule(name: str, priority: int, statement: dict[str, Any], **action: dict[str, Any]) -> dict[str, Any]:
    return {"Name": name, "Priority": priority, "Statement": statement, "VisibilityConfig": _visibility(name), **action}


def _visibility(name: str) -> dict[str, str | bool]:
    """Return metrics without samples, which would show the callers' requests."""
    return {"CloudWatchMetricsEnabled": True, "MetricName": name, "SampledRequestsEnabled": False}


def add_canary(scope: Construct, function: lambda_.Function, api_name: str, stage: str) -> lambda_.Alias:
    """Return the alias `live`: CodeDeploy gives a new version 10 % of the calls for 5 minutes, unless an alarm fires.

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
