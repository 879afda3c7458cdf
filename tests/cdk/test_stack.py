"""The template: lint-free, closed by default, and complete."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import Settings, load
from tests.cdk.conftest import Template, as_list, of_type, statements, synthesise
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["shipped", "vpc", pytest.param("protected", marks=pytest.mark.full)])
def test_cfn_lint_finds_nothing(path_of: Callable[[str], Path], name: str) -> None:
    # W3005: CDK writes a DependsOn beside each GetAtt of a role.
    command = [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W3005", "--", path_of(name)]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout, linted.returncode) == ("", 0)


def machine_grants(folder: Path, settings: Settings) -> set[tuple[str, str, str]]:
    """Return (action, resource, condition) of everything that the state machine's role may do."""
    template = json.loads(synthesise(settings, folder, "123456789012").read_text())
    return {
        (action, json.dumps(resource), json.dumps(statement.get("Condition", {})))
        for statement in statements(template, "DeployMachineRole")
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


def test_autoscaling_is_granted_with_its_setting_and_restricted_to_variants(tmp_path: Path) -> None:
    settings = load(ROOT / "pipeline.toml", "prod")
    off = settings.model_copy(update={"endpoint": settings.endpoint.model_copy(update={"max_instances": 0})})

    def arn(rest: str) -> str:
        return json.dumps({"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, rest]]})

    service = "sagemaker.application-autoscaling.amazonaws.com"
    role = f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    variants = {
        "application-autoscaling:service-namespace": "sagemaker",
        "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
    }
    target = arn(":application-autoscaling:us-east-1:123456789012:scalable-target/*")
    endpoint = arn(":sagemaker:us-east-1:123456789012:endpoint/breast-prod")
    bound = json.dumps({"StringEquals": variants})
    linked = json.dumps({"StringEquals": {"iam:AWSServiceName": service}})
    with_it, without = machine_grants(tmp_path / "on", settings), machine_grants(tmp_path / "off", off)
    assert without <= with_it
    assert with_it - without == {
        ("application-autoscaling:RegisterScalableTarget", target, bound),
        ("application-autoscaling:PutScalingPolicy", target, bound),
        ("iam:CreateServiceLinkedRole", arn(f":iam::123456789012:role/{role}"), linked),
        ("sagemaker:DescribeEndpoint", endpoint, "{}"),
        ("sagemaker:UpdateEndpointWeightsAndCapacities", endpoint, "{}"),
        *((f"cloudwatch:{action}", '"*"', "{}") for action in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")),
    }


def test_no_action_is_a_wildcard_and_only_actions_without_resources_are_allowed_on_all(template: Template) -> None:
    unbounded = set()
    for policy in of_type(template, "AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = as_list(statement["Action"])
            assert "*" not in actions
            if statement["Resource"] == "*":
                unbounded |= set(actions)
    logs = {f"logs:{action}" for action in ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
            "ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")}  # fmt: skip
    xray = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"}
    lists = {"sagemaker:ListEndpointConfigs", "sagemaker:ListModels"}
    assert unbounded <= logs | xray | lists | {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


@pytest.mark.parametrize("name", ["shipped", "vpc"])
def test_every_port_of_the_definitions_is_filled(path_of: Callable[[str], Path], name: str) -> None:
    template = json.loads(path_of(name).read_text())
    for machine in of_type(template, "AWS::StepFunctions::StateMachine").values():
        parts = json.dumps(machine["DefinitionString"]).split("${")[1:]
        assert {part.split("}")[0] for part in parts} == set(machine["DefinitionSubstitutions"])


def test_logs_that_aws_services_deliver_need_no_resource_policy(template: Template) -> None:
    groups = [item.get("LogGroupName") for item in of_type(template, "AWS::Logs::LogGroup").values()]
    machines = ("deploy", "drift", "retrain")
    assert sorted(filter(None, groups)) == [f"/aws/vendedlogs/states/breast-cancer-{name}" for name in machines]


def test_sagemaker_may_look_at_the_alarms_of_a_deployment_in_the_models_role(template: Template) -> None:
    alarms = [name for name in of_type(template, "AWS::CloudWatch::Alarm") if name.startswith("LiveEndpoint")]
    (allowed,) = [item for item in statements(template, "JobsRole") if item["Action"] == "cloudwatch:DescribeAlarms"]
    assert allowed["Resource"] == [{"Fn::GetAtt": [name, "Arn"]} for name in alarms]


def test_every_log_group_has_the_settings_retention(tmp_path: Path) -> None:
    settings = load(ROOT / "pipeline.toml")
    stack = settings.stack.model_copy(update={"log_days": 30})
    template = json.loads(synthesise(settings.model_copy(update={"stack": stack}), tmp_path).read_text())
    groups = of_type(template, "AWS::Logs::LogGroup").values()
    assert {group["RetentionInDays"] for group in groups} == {30}
