"""The template: its policies, its ports, and cdk-nag, which runs at every synthesis."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3

from cdk.app import SUPPRESSIONS, add_checks
from tests.cdk.conftest import Template, as_list, of_type


def test_no_action_is_a_wildcard_and_only_actions_without_resources_are_allowed_on_all(template: Template) -> None:
    unbounded = set()
    for policy in of_type(template, "AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = as_list(statement["Action"])
            assert "*" not in actions
            if statement["Resource"] == "*":
                unbounded |= set(actions)
    delivery = {f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")}
    others = {f"logs:{name}" for name in ("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies")}
    logs = {*delivery, *others, "logs:DescribeLogGroups"}
    xray = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"}
    lists = {"sagemaker:ListEndpointConfigs", "sagemaker:ListModels"}
    assert unbounded <= logs | xray | lists | {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


@pytest.mark.parametrize("name", ["shipped", "vpc"])
def test_every_port_of_the_definitions_is_filled(path_of: Callable[[str], Path], name: str) -> None:
    template = json.loads(path_of(name).read_text())
    for machine in of_type(template, "AWS::StepFunctions::StateMachine").values():
        parts = json.dumps(machine["DefinitionString"]).split("${")[1:]
        assert {part.split("}")[0] for part in parts} == set(machine["DefinitionSubstitutions"])


def test_a_finding_that_is_not_suppressed_ends_the_synthesis(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path), analytics_reporting=False)
    stack = Stack(app, "open")
    s3.Bucket(stack, "Open")
    add_checks(app, stack, "pipeline", "open")
    with pytest.raises(Exception, match=r"AwsSolutions::AwsSolutions-S1"):
        app.synth()


def test_every_suppression_has_a_reason_and_each_rule_is_suppressed_once_per_construct() -> None:
    table = [item for kind in tomllib.loads(SUPPRESSIONS.read_text()).values() for item in kind]
    assert [item for item in table if not item["reason"] or not item["on"]] == []
    single = [(rule, path) for item in table for rule in item["rules"] for path in item["on"]]
    assert len(set(single)) == len(single)
