"""The template: lint-free, closed by default, and complete."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk.app import build
from pipeline.config import Settings, load

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The synthesised template and the path it was written to."""
    out = tmp_path_factory.mktemp("cdk.out")
    build(load(ROOT / "pipeline.toml"), region="us-east-1", out=out).synth()
    path = out / "breast-cancer.template.json"
    return json.loads(path.read_text()), path


def of_type(template: Any, kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template[0]["Resources"].values() if item["Type"] == kind]


def test_cfn_lint_finds_nothing(template: Any) -> None:
    # W3005: CDK writes a DependsOn beside each GetAtt of a role.
    command = [Path(sys.executable).parent / "cfn-lint", "--ignore-checks", "W3005", "--", template[1]]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout, linted.returncode) == ("", 0)


def machine_grants(folder: Path, settings: Settings) -> set[tuple[str, str, str]]:
    """(action, resource, condition) of all that the state machine's role may do."""
    build(settings, region="us-east-1", account="123456789012", out=folder).synth()
    template = json.loads((folder / f"{settings.project.name}.template.json").read_text()), folder
    (statements,) = [
        policy["PolicyDocument"]["Statement"]
        for policy in of_type(template, "AWS::IAM::Policy")
        if policy["PolicyName"].startswith("RetrainingMachineRole")
    ]
    return {
        (action, json.dumps(resource), json.dumps(statement.get("Condition", {})))
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for resource in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
    }


def test_autoscaling_is_granted_with_its_setting_and_bound_to_variants(tmp_path: Path) -> None:
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
    scaling = arn(":application-autoscaling:us-east-1:123456789012:scalable-target/*")
    bound = json.dumps({"StringEquals": variants})
    with_it, without = machine_grants(tmp_path / "on", settings), machine_grants(tmp_path / "off", off)
    assert without <= with_it
    assert with_it - without == {
        ("application-autoscaling:RegisterScalableTarget", scaling, bound),
        ("application-autoscaling:PutScalingPolicy", scaling, bound),
        (
            "iam:CreateServiceLinkedRole",
            arn(f":iam::123456789012:role/{role}"),
            json.dumps({"StringEquals": {"iam:AWSServiceName": service}}),
        ),
        (
            "sagemaker:UpdateEndpointWeightsAndCapacities",
            arn(":sagemaker:us-east-1:123456789012:endpoint/breast-prod"),
            "{}",
        ),
        *((f"cloudwatch:{action}", '"*"', "{}") for action in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")),
    }


def test_every_bucket_is_closed_encrypted_and_reached_by_tls_only(template: Any) -> None:
    buckets = of_type(template, "AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
    denied = [
        statement["Condition"]
        for policy in of_type(template, "AWS::S3::BucketPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert denied == [{"Bool": {"aws:SecureTransport": "false"}}] * 2


def test_the_data_bucket_is_versioned_and_tells_eventbridge(template: Any) -> None:
    bucket = next(item for item in of_type(template, "AWS::S3::Bucket") if "NotificationConfiguration" in item)
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_no_action_is_a_wildcard_and_each_resource_wildcard_names_nothing_else(template: Any) -> None:
    unbounded = set()
    for policy in of_type(template, "AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert "*" not in actions
            if statement["Resource"] == "*":
                unbounded |= set(actions)
    logs = {f"logs:{action}" for action in ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
            "ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")}  # fmt: skip
    xray = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"}
    lists = {"sagemaker:ListEndpointConfigs", "sagemaker:ListModels"}
    assert unbounded <= logs | xray | lists | {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def test_the_state_machine_is_logged_and_traced(template: Any) -> None:
    machines = of_type(template, "AWS::StepFunctions::StateMachine")
    assert sorted(machine.get("StateMachineName", "") for machine in machines) == [
        "breast-cancer",
        "breast-cancer-drift",
        "breast-cancer-ending",
    ]
    for machine in machines:
        assert machine["TracingConfiguration"] == {"Enabled": True}
        assert machine["LoggingConfiguration"]["Level"] == "ALL"


def test_every_port_of_the_definition_is_filled(template: Any) -> None:
    for machine in of_type(template, "AWS::StepFunctions::StateMachine"):
        text = json.dumps(machine["DefinitionString"])
        ports = {part.split("}")[0] for part in text.split("${")[1:]}
        assert ports == set(machine["DefinitionSubstitutions"])


def test_the_lease_is_encrypted_with_the_stacks_key_and_can_be_restored(template: Any) -> None:
    (table,) = of_type(template, "AWS::DynamoDB::Table")
    assert table["KeySchema"] == [{"AttributeName": "endpoint", "KeyType": "HASH"}]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert {**table["SSESpecification"], "KMSMasterKeyId": 0} == {
        "KMSMasterKeyId": 0,
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
