"""The VPC: a way to S3 for the role of the jobs, and to nothing else for nobody."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_s3 as s3

from cdk.app import FLAGS, build
from cdk.network import CIDR, Network
from pipeline.config import load
from pipeline.settings import Network as Setting

ROOT = Path(__file__).parent.parent.parent
GROUP = {"Fn::GetAtt": ["NetworkGroupC541F250", "GroupId"]}
HTTPS = {
    "CidrIp": "0.0.0.0/0",
    "Description": "S3, by its endpoint",
    "FromPort": 443,
    "ToPort": 443,
    "IpProtocol": "tcp",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped settings' template with the VPC, and nothing else changed."""
    out = tmp_path_factory.mktemp("cdk.out")
    settings = load(ROOT / "pipeline.toml").model_copy(update={"network": Setting(vpc=True)})
    build(settings, region="us-east-1", out=out).synth()
    return out / "breast-cancer.template.json"


@pytest.fixture(scope="module")
def template(path: Path) -> Any:
    return json.loads(path.read_text())


def of_type(template: Any, kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def statements(template: Any, role: str) -> list[dict[str, Any]]:
    return next(
        policy["PolicyDocument"]["Statement"]
        for policy in of_type(template, "AWS::IAM::Policy")
        if policy["PolicyName"].startswith(role)
    )


def test_cfn_lint_finds_nothing(path: Path) -> None:
    command = [Path(sys.executable).parent / "cfn-lint", "--ignore-checks", "W3005", "--", path]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_it_has_no_way_to_the_internet(template: Any) -> None:
    kinds = Counter(item["Type"] for item in template["Resources"].values() if item["Type"].startswith("AWS::EC2"))
    assert kinds == {
        "AWS::EC2::VPC": 1,
        "AWS::EC2::Subnet": 2,
        "AWS::EC2::RouteTable": 2,
        "AWS::EC2::SubnetRouteTableAssociation": 2,
        "AWS::EC2::VPCEndpoint": 1,
        "AWS::EC2::SecurityGroup": 1,
        "AWS::EC2::FlowLog": 1,
    }
    assert [zone["AvailabilityZone"] for zone in of_type(template, "AWS::EC2::Subnet")] == [
        {"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number in (0, 1)
    ]
    (group,) = of_type(template, "AWS::EC2::SecurityGroup")
    assert (group.get("SecurityGroupIngress"), group["SecurityGroupEgress"]) == (None, [HTTPS])


def test_its_endpoint_lets_the_role_of_the_jobs_do_with_s3_what_the_role_allows(template: Any) -> None:
    (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
    let = endpoint["PolicyDocument"]["Statement"]
    who = {"aws:PrincipalArn": {"Fn::GetAtt": ["RetrainingJobRoleF5BFD428", "Arn"]}}
    assert [(statement.pop("Principal"), statement["Condition"].pop("ArnEquals")) for statement in let] == [
        ({"AWS": "*"}, who)
    ] * len(let)
    allowed = [
        {"Condition": {}, **statement}
        for statement in statements(template, "RetrainingJobRole")
        if "s3:" in str(statement["Action"])
    ]
    assert let == allowed


def test_the_jobs_make_interfaces_in_its_subnets_alone(template: Any) -> None:
    def arn(resource: str, *name: Any) -> Any:
        account = {"Ref": "AWS::AccountId"}
        head = ["arn:", {"Ref": "AWS::Partition"}, ":ec2:us-east-1:", account]
        return {"Fn::Join": ["", [*head, f":{resource}/{'' if name else '*'}", *name]]}

    subnets = [
        arn("subnet", {"Ref": name})
        for name, item in template["Resources"].items()
        if item["Type"] == "AWS::EC2::Subnet"
    ]
    found = [item for item in statements(template, "RetrainingJobRole") if "ec2:" in str(item["Action"])]
    describing, creating, handing = found
    assert (describing["Resource"], {a for a in describing["Action"] if a.startswith("ec2:")}) == (
        "*",
        {f"ec2:Describe{what}" for what in ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")},
    )
    assert creating == {
        "Action": "ec2:CreateNetworkInterface",
        "Effect": "Allow",
        "Resource": [arn("network-interface"), arn("security-group", GROUP), *subnets],
    }
    assert handing == {
        "Action": [
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
        ],
        "Condition": {"ArnEquals": {"ec2:Subnet": subnets}},
        "Effect": "Allow",
        "Resource": arn("network-interface"),
    }


def test_every_port_of_the_definitions_is_filled(template: Any) -> None:
    for machine in of_type(template, "AWS::StepFunctions::StateMachine"):
        text = json.dumps(machine["DefinitionString"])
        assert {part.split("}")[0] for part in text.split("${")[1:]} == set(machine["DefinitionSubstitutions"])


def test_instances_of_a_training_job_reach_each_other(tmp_path: Path) -> None:
    app = App(context=FLAGS, outdir=str(tmp_path), analytics_reporting=False)
    stack = Stack(app, "alone", env=Environment(region="us-east-1"))
    Network(stack, "Network", logs=s3.Bucket(stack, "Logs"), peers=True)
    app.synth()
    (group,) = of_type(json.loads((tmp_path / "alone.template.json").read_text()), "AWS::EC2::SecurityGroup")
    peers = {"CidrIp": CIDR, "Description": "instances of a training job", "IpProtocol": "-1"}
    assert (group["SecurityGroupIngress"], group["SecurityGroupEgress"]) == ([peers], [HTTPS, peers])
