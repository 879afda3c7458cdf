"""The API's protections follow the settings: none by default, all of them when they are set."""

import json
from typing import Any

from cdk.api.protection import MANAGED
from tests.cdk.conftest import Template, of_type


def predict(template: Template) -> tuple[str, dict[str, Any]]:
    functions = of_type(template, "AWS::Lambda::Function")
    return next((name, item) for name, item in functions.items() if item["Handler"] == "predict.handler.handle")


def test_by_default_there_is_no_waf_no_key_no_alias_and_no_reservation(template: Template) -> None:
    kinds = {item["Type"] for item in template["Resources"].values()}
    assert not kinds & {"AWS::WAFv2::WebACL", "AWS::ApiGateway::ApiKey", "AWS::Lambda::Alias"}
    _, function = predict(template)
    assert "ReservedConcurrentExecutions" not in function
    assert (function["Architectures"], function["TracingConfig"]) == (["arm64"], {"Mode": "Active"})


def test_waf_has_managed_rules_and_limits_the_calls_of_an_address(protected: Template) -> None:
    (acl,) = of_type(protected, "AWS::WAFv2::WebACL").values()
    rate, *managed = acl["Rules"]
    limit = {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 300}
    assert (rate["Action"], rate["Statement"]["RateBasedStatement"]) == ({"Block": {}}, limit)
    groups = [rule["Statement"]["ManagedRuleGroupStatement"] for rule in managed]
    assert [group["Name"] for group in groups] == MANAGED
    counted = [(group["Name"], rule) for group in groups for rule in group.get("RuleActionOverrides", [])]
    batch = {"ActionToUse": {"Count": {}}, "Name": "SizeRestrictions_BODY"}
    assert counted == [("AWSManagedRulesCommonRuleSet", batch)]
    assert not any(rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in acl["Rules"])
    (association,) = of_type(protected, "AWS::WAFv2::WebACLAssociation").values()
    (stage,) = of_type(protected, "AWS::ApiGateway::Stage")
    assert {"Ref": stage} in association["ResourceArn"]["Fn::Join"][1]


def test_a_usage_plan_counts_calls_by_key_with_a_daily_quota_and_concurrency_is_reserved(protected: Template) -> None:
    assert predict(protected)[1]["ReservedConcurrentExecutions"] == 20
    (plan,) = of_type(protected, "AWS::ApiGateway::UsagePlan").values()
    assert plan["Quota"] == {"Limit": 1000, "Period": "DAY"}
    assert plan["Throttle"] == {"BurstLimit": 100, "RateLimit": 50}
    assert len(of_type(protected, "AWS::ApiGateway::UsagePlanKey")) == 1
    (api,) = of_type(protected, "AWS::ApiGateway::RestApi").values()
    assert api["Body"]["paths"]["/predictions"]["post"]["security"] == [{"caller": [], "key": []}]


def test_a_canary_shifts_an_alias_that_alarms_roll_back(protected: Template) -> None:
    (alias,) = of_type(protected, "AWS::Lambda::Alias")
    assert set(protected["Resources"][alias]["UpdatePolicy"]) == {"CodeDeployLambdaAliasUpdate"}
    (group,) = of_type(protected, "AWS::CodeDeploy::DeploymentGroup").values()
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    alarms = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    metrics = {protected["Resources"][name]["Properties"]["MetricName"] for name in alarms}
    assert metrics == {"Errors", "Throttles", "5XXError"}
    assert set(group["AutoRollbackConfiguration"]["Events"]) == {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"}


def test_api_gateway_and_the_smoke_test_call_the_alias_and_never_the_function(protected: Template) -> None:
    (alias,), (name, _) = of_type(protected, "AWS::Lambda::Alias"), predict(protected)
    (api,) = of_type(protected, "AWS::ApiGateway::RestApi").values()
    uri = api["Body"]["paths"]["/predictions"]["post"]["x-amazon-apigateway-integration"]["uri"]
    machines = of_type(protected, "AWS::StepFunctions::StateMachine").values()
    ports = [machine["DefinitionSubstitutions"] for machine in machines]
    (smoke,) = [port["PredictFunction"] for port in ports if "PredictFunction" in port]
    permissions = [item["FunctionName"] for item in of_type(protected, "AWS::Lambda::Permission").values()]
    for text in map(json.dumps, (uri, smoke, permissions)):
        assert (alias in text, f'"{name}"' in text) == (True, False)
