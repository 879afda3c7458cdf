"""The VPC: a route to S3 for the role of the jobs, and no other route."""

import json
from collections import Counter
from pathlib import Path

from aws_cdk import App, Environment, Stack
from aws_cdk import aws_s3 as s3

from cdk.app import FLAGS
from cdk.network import CIDR, Network
from tests.cdk.conftest import Template, of_type, statements

PORTS = {"FromPort": 443, "ToPort": 443, "IpProtocol": "tcp"}
HTTPS = {"CidrIp": "0.0.0.0/0", "Description": "S3, by its endpoint", **PORTS}


def test_it_has_no_route_to_the_internet(with_vpc: Template) -> None:
    types = Counter(item["Type"] for item in with_vpc["Resources"].values())
    kinds = {name.removeprefix("AWS::EC2::"): count for name, count in types.items() if name.startswith("AWS::EC2")}
    of_each_zone = dict.fromkeys(("Subnet", "RouteTable", "SubnetRouteTableAssociation"), 2)
    assert kinds == {**of_each_zone, **dict.fromkeys(("VPC", "VPCEndpoint", "SecurityGroup", "FlowLog"), 1)}
    zones = [subnet["AvailabilityZone"] for subnet in of_type(with_vpc, "AWS::EC2::Subnet").values()]
    assert zones == [{"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number in (0, 1)]
    (group,) = of_type(with_vpc, "AWS::EC2::SecurityGroup").values()
    assert (group.get("SecurityGroupIngress"), group["SecurityGroupEgress"]) == (None, [HTTPS])


def test_its_endpoint_lets_the_role_of_the_jobs_do_with_s3_what_the_role_allows(with_vpc: Template) -> None:
    (endpoint,) = of_type(with_vpc, "AWS::EC2::VPCEndpoint").values()
    role = {"aws:PrincipalArn": {"Fn::GetAtt": ["JobsRole621A81E5", "Arn"]}}
    found = [item for item in statements(with_vpc, "JobsRole") if "s3:" in str(item["Action"])]
    assert endpoint["PolicyDocument"]["Statement"] == [
        {**item, "Principal": {"AWS": "*"}, "Condition": {**item.get("Condition", {}), "ArnEquals": role}}
        for item in found
    ]


def test_instances_of_a_training_job_reach_each_other(tmp_path: Path) -> None:
    app = App(context=FLAGS, outdir=str(tmp_path), analytics_reporting=False)
    stack = Stack(app, "alone", env=Environment(region="us-east-1"))
    Network(stack, logs=s3.Bucket(stack, "Logs"), peers=True)
    app.synth()
    template = json.loads((tmp_path / "alone.template.json").read_text())
    (group,) = of_type(template, "AWS::EC2::SecurityGroup").values()
    peers = {"CidrIp": CIDR, "Description": "instances of a training job", "IpProtocol": "-1"}
    assert (group["SecurityGroupIngress"], group["SecurityGroupEgress"]) == ([peers], [HTTPS, peers])
