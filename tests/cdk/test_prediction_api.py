"""What guards the API, by the settings: nothing of it by default, all of it where they say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk.api.waf import MANAGED
from cdk.app import build
from pipeline.config import load

ROOT = Path(__file__).parents[2]
GUARDED = {"metering": True, "calls_per_day": 1000, "waf_rate": 300, "concurrency": 20, "rollout": "canary"}


def synthesised(out: Path, **changes: Any) -> Path:
    settings = load(ROOT / "pipeline.toml")
    api = settings.api.model_copy(update=changes)
    build(settings.model_copy(update={"api": api}), region="us-east-1", out=out).synth()
    return out / "breast-cancer.template.json"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesised(tmp_path_factory.mktemp("cdk.out"), **GUARDED)


@pytest.fixture(scope="module")
def guarded(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())["Resources"])


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: item["Properties"] for name, item in resources.items() if item["Type"] == kind}


def predict(resources: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    functions = of_type(resources, "AWS::Lambda::Function")
    return next((name, item) for name, item in functions.items() if item["Handler"] == "predict.handler.handle")


@pytest.mark.full
def test_cfn_lint_finds_nothing(path: Path) -> None:
    # W3005: CDK writes a DependsOn beside each GetAtt of a role.
    command = [Path(sys.executable).parent / "cfn-lint", "--ignore-checks", "W3005", "--", path]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_by_default_there_is_no_firewall_no_key_no_alias_and_no_reservation(tmp_path: Path) -> None:
    resources = json.loads(synthesised(tmp_path).read_text())["Resources"]
    kinds = {item["Type"] for item in resources.values()}
    assert not kinds & {"AWS::WAFv2::WebACL", "AWS::ApiGateway::ApiKey", "AWS::Lambda::Alias"}
    _, function = predict(resources)
    assert "ReservedConcurrentExecutions" not in function
    assert (function["Architectures"], function["TracingConfig"]) == (["arm64"], {"Mode": "Active"})


def test_concurrency_is_reserved(guarded: dict[str, Any]) -> None:
    assert predict(guarded)[1]["ReservedConcurrentExecutions"] == 20


def test_the_firewall_has_amazons_rules_and_counts_an_addresss_calls(guarded: dict[str, Any]) -> None:
    (acl,) = of_type(guarded, "AWS::WAFv2::WebACL").values()
    rate, *managed = acl["Rules"]
    assert (rate["Action"], rate["Statement"]["RateBasedStatement"]) == (
        {"Block": {}},
        {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 300},
    )
    groups = [rule["Statement"]["ManagedRuleGroupStatement"] for rule in managed]
    assert tuple(group["Name"] for group in groups) == MANAGED
    counted = [(group["Name"], rule) for group in groups for rule in group.get("RuleActionOverrides", [])]
    batch = {"ActionToUse": {"Count": {}}, "Name": "SizeRestrictions_BODY"}
    assert counted == [("AWSManagedRulesCommonRuleSet", batch)]
    assert not any(rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in acl["Rules"])
    (association,) = of_type(guarded, "AWS::WAFv2::WebACLAssociation").values()
    (stage,) = of_type(guarded, "AWS::ApiGateway::Stage")
    assert {"Ref": stage} in association["ResourceArn"]["Fn::Join"][1]


def test_calls_are_counted_by_key_in_a_plan_with_a_days_quota(guarded: dict[str, Any]) -> None:
    (plan,) = of_type(guarded, "AWS::ApiGateway::UsagePlan").values()
    assert (plan["Quota"], plan["Throttle"]) == (
        {"Limit": 1000, "Period": "DAY"},
        {"BurstLimit": 100, "RateLimit": 50},
    )
    assert len(of_type(guarded, "AWS::ApiGateway::UsagePlanKey")) == 1
    (api,) = of_type(guarded, "AWS::ApiGateway::RestApi").values()
    assert api["Body"]["paths"]["/predictions"]["post"]["security"] == [{"caller": [], "key": []}]


def test_a_canary_goes_by_an_alias_that_alarms_take_back(guarded: dict[str, Any]) -> None:
    (alias,) = of_type(guarded, "AWS::Lambda::Alias")
    assert set(guarded[alias]["UpdatePolicy"]) == {"CodeDeployLambdaAliasUpdate"}
    (group,) = of_type(guarded, "AWS::CodeDeploy::DeploymentGroup").values()
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    metrics = {guarded[name]["Properties"]["MetricName"] for name in alarms}
    assert metrics == {"Errors", "Throttles", "5XXError"}
    assert set(group["AutoRollbackConfiguration"]["Events"]) == {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"}


def test_api_gateway_and_the_smoke_test_call_the_alias_and_never_the_function(guarded: dict[str, Any]) -> None:
    (alias,), (name, _) = of_type(guarded, "AWS::Lambda::Alias"), predict(guarded)
    (api,) = of_type(guarded, "AWS::ApiGateway::RestApi").values()
    uri = json.dumps(api["Body"]["paths"]["/predictions"]["post"]["x-amazon-apigateway-integration"]["uri"])
    ports = [item["DefinitionSubstitutions"] for item in of_type(guarded, "AWS::StepFunctions::StateMachine").values()]
    (smoke,) = [json.dumps(port["PredictFunction"]) for port in ports if "PredictFunction" in port]
    permissions = [item["FunctionName"] for item in of_type(guarded, "AWS::Lambda::Permission").values()]
    for text in (uri, smoke, json.dumps(permissions)):
        assert (alias in text, f'"{name}"' in text) == (True, False)


def test_the_function_may_score_and_name_its_own_model_and_no_more(guarded: dict[str, Any]) -> None:
    role = predict(guarded)[1]["Role"]["Fn::GetAtt"][0]
    (policy,) = [item for item in of_type(guarded, "AWS::IAM::Policy").values() if item["Roles"] == [{"Ref": role}]]
    actions: set[str] = set()
    for statement in policy["PolicyDocument"]["Statement"]:
        given = statement["Action"]
        actions |= {given} if isinstance(given, str) else set(given)
    assert {action for action in actions if not action.startswith(("xray:", "logs:"))} == {
        "sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint", "sagemaker:ListTags", "sagemaker:DescribeModelPackage",
    }  # fmt: skip
