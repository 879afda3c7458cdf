"""The network of the jobs and the endpoint, if the settings want one of their own: a way to S3 and to nothing else."""

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

CIDR = "10.0.0.0/20"
"""Some 2,000 addresses in each zone; an instance wants two (SageMaker Developer Guide, "Ensure That Subnets Have Enough
IP Addresses"). It meets no other network, so it may be the same in every stage."""


class Network(Construct):
    """A VPC of isolated subnets in two zones: no NAT, no internet gateway, S3 by a gateway endpoint, which is free.

    No other endpoint is needed: downloads and uploads alone go through it (Developer Guide, "Network isolation
    with a VPC"), images do not ("Give SageMaker AI Training Jobs Access to Resources in Your Amazon VPC"). `peers`: the
    instances of a training job talk to each other. Flow logs go to the bucket `logs`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, logs: s3.IBucket, peers: bool) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            max_azs=2,
            create_internet_gateway=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Jobs", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            ],
            flow_logs={"Flow": ec2.FlowLogOptions(destination=ec2.FlowLogDestination.to_s3(logs, "flow"))},
        )
        self._s3 = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self._group = ec2.SecurityGroup(
            self, "Group", vpc=self.vpc, allow_all_outbound=False, description="Jobs and endpoint: HTTPS to S3"
        )
        # To any address: S3's prefix list has another id in each region, and no route leads anywhere else.
        self._group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "S3, by its endpoint")
        if peers:  # encrypted: UDP 500 and ESP, beside what it carries ("Protect Communications Between ML Compute")
            inside = ec2.Peer.ipv4(CIDR)
            self._group.add_ingress_rule(inside, ec2.Port.all_traffic(), "instances of a training job")
            self._group.add_egress_rule(inside, ec2.Port.all_traffic(), "instances of a training job")
        first, second = self.vpc.isolated_subnets
        self.ports = {
            "SecurityGroup": self._group.security_group_id,
            "Subnet1": first.subnet_id,
            "Subnet2": second.subnet_id,
        }
        """What the state machines name in each request."""

    def let(self, role: iam.IRole, statement: iam.PolicyStatement) -> None:
        """Let through what the role may do with S3; a gateway endpoint's policy names principals by condition alone.

        (AWS PrivateLink Guide, "Endpoint policies for gateway endpoints".)
        """
        if all(action.startswith("s3:") for action in statement.actions):
            who = {**statement.conditions, "ArnEquals": {"aws:PrincipalArn": role.role_arn}}
            self._s3.add_to_policy(statement.copy(principals=[iam.AnyPrincipal()], conditions=who))

    def interfaces(self) -> list[iam.PolicyStatement]:
        """What SageMaker does in the role of its jobs: network interfaces in these subnets, made, handed over, deleted.

        (SageMaker Developer Guide, "How to use SageMaker AI execution roles": a private VPC.)
        """
        stack = Stack.of(self)

        def named(resource: str, name: str) -> str:
            return stack.format_arn(service="ec2", resource=resource, resource_name=name)

        subnets = [named("subnet", self.ports[port]) for port in ("Subnet1", "Subnet2")]
        group = named("security-group", self.ports["SecurityGroup"])
        any_interface = named("network-interface", "*")  # EC2 gives them their ids
        handed = ["CreateNetworkInterfacePermission", "DeleteNetworkInterface", "DeleteNetworkInterfacePermission"]
        # Describing names no resource (Service Authorization Reference, Amazon EC2).
        seen = ["DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs"]
        return [
            iam.PolicyStatement(actions=["ec2:CreateNetworkInterface"], resources=[any_interface, group, *subnets]),
            iam.PolicyStatement(
                actions=[f"ec2:{action}" for action in handed],
                resources=[any_interface],
                conditions={"ArnEquals": {"ec2:Subnet": subnets}},
            ),
            iam.PolicyStatement(actions=[f"ec2:Describe{what}" for what in seen], resources=["*"]),
        ]
