"""The VPC of the jobs and the endpoint, by setting: it has a route to S3 and to nothing else."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk.permissions import allow, arn

CIDR = "10.0.0.0/20"
"""About 2,000 addresses per zone; an instance needs two (SageMaker Developer Guide, "Ensure That Subnets Have Enough
IP Addresses"). The VPC is not connected to other networks, so all stages can use the same range."""


class Network(Construct):
    """A VPC of isolated subnets in two zones: no NAT, no internet gateway, S3 by a gateway endpoint, which is free.

    Jobs need no other endpoint: only downloads and uploads use the VPC (SageMaker Developer Guide, "Network isolation
    with a VPC"), not images ("Give SageMaker AI Training Jobs Access to Resources in Your Amazon VPC"). `peers` lets
    the instances of a training job connect to each other. Flow logs go to the bucket `logs`.
    """

    def __init__(self, scope: Construct, *, logs: s3.IBucket, peers: bool) -> None:
        super().__init__(scope, "Network")
        isolated = ec2.SubnetConfiguration(name="Jobs", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            max_azs=2,
            create_internet_gateway=False,
            subnet_configuration=[isolated],
            flow_logs={"Flow": ec2.FlowLogOptions(destination=ec2.FlowLogDestination.to_s3(logs, "flow"))},
        )
        self._s3 = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        group = ec2.SecurityGroup(
            self, "Group", vpc=self.vpc, allow_all_outbound=False, description="Jobs and endpoint: HTTPS to S3"
        )
        # To any address: the id of S3's prefix list differs by region, and there is no other route.
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "S3, by its endpoint")
        if peers:  # all traffic: encryption adds UDP 500 and ESP ("Protect Communications Between ML Compute")
            for add_rule in (group.add_ingress_rule, group.add_egress_rule):
                add_rule(ec2.Peer.ipv4(CIDR), ec2.Port.all_traffic(), "instances of a training job")
        first, second = (subnet.subnet_id for subnet in self.vpc.isolated_subnets)
        self.ports = {"SecurityGroup": group.security_group_id, "Subnet1": first, "Subnet2": second}
        """The values that the state machines' requests need."""

    def allow_s3(self, role: iam.IRole, statement: iam.PolicyStatement) -> None:
        """Add a statement about S3 to the S3 endpoint's policy; a condition names the role (AWS PrivateLink Guide)."""
        if all(action.startswith("s3:") for action in statement.actions):
            conditions = {**statement.conditions, "ArnEquals": {"aws:PrincipalArn": role.role_arn}}
            self._s3.add_to_policy(statement.copy(principals=[iam.AnyPrincipal()], conditions=conditions))

    def interface_statements(self) -> list[iam.PolicyStatement]:
        """Return what SageMaker needs to manage network interfaces here (Developer Guide, execution role, VPC)."""
        subnets = [arn(self, "ec2:subnet", self.ports[port]) for port in ("Subnet1", "Subnet2")]
        group = arn(self, "ec2:security-group", self.ports["SecurityGroup"])
        interfaces = arn(self, "ec2:network-interface", "*")  # EC2 generates their ids
        return [
            allow("ec2:CreateNetworkInterface", interfaces, group, *subnets),
            allow(
                "ec2:CreateNetworkInterfacePermission ec2:DeleteNetworkInterface ec2:DeleteNetworkInterfacePermission",
                interfaces,
                where={"ArnEquals": {"ec2:Subnet": subnets}},
            ),
            # Describe actions have no resource (Service Authorization Reference, Amazon EC2).
            allow(
                "ec2:DescribeDhcpOptions ec2:DescribeNetworkInterfaces ec2:DescribeSecurityGroups ec2:DescribeSubnets"
                " ec2:DescribeVpcs",
                "*",
            ),
        ]
