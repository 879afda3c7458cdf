"""AWS WAF for the API: AWS managed rules, and a limit on the calls from one address."""

from typing import Any

from aws_cdk import CfnResource
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

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
