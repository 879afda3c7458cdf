"""AWS WAF in front of the API: Amazon's managed rules, and a limit of calls from one address."""

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

MANAGED = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
COUNTED = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
"""Rules that only count: this one blocks bodies over 8 KB, and a batch of rows is larger; max_bytes bounds it."""


def firewall(scope: Construct, *, stage: apigateway.Stage, rate: int) -> waf.CfnWebACL:
    """Put a web ACL before the stage; `rate` is how many calls an address has in 5 minutes."""
    limit = waf.CfnWebACL.RuleProperty(
        name="rate",
        priority=0,
        action=waf.CfnWebACL.RuleActionProperty(block={}),
        statement=waf.CfnWebACL.StatementProperty(
            rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=rate, evaluation_window_sec=300
            )
        ),
        visibility_config=_seen("rate"),
    )
    acl = waf.CfnWebACL(
        scope,
        "Firewall",
        scope="REGIONAL",
        default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
        rules=[limit, *(_managed(name, number) for number, name in enumerate(MANAGED, 1))],
        visibility_config=_seen("firewall"),
    )
    waf.CfnWebACLAssociation(scope, "FirewallOfApi", resource_arn=stage.stage_arn, web_acl_arn=acl.attr_arn)
    return acl


def _managed(name: str, priority: int) -> waf.CfnWebACL.RuleProperty:
    count = waf.CfnWebACL.RuleActionProperty(count={})
    group = waf.CfnWebACL.ManagedRuleGroupStatementProperty(
        vendor_name="AWS",
        name=name,
        rule_action_overrides=[
            waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count) for rule in COUNTED.get(name, ())
        ],
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(managed_rule_group_statement=group),
        visibility_config=_seen(name),
    )


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    """Metrics, and no samples: those would show what callers sent."""
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
