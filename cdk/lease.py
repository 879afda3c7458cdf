"""The lease that executions take in turns: its table, and the Lambda that acquires it."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.functions import function, package


class Lease(Construct):
    """`table` has one item per endpoint; `function` is AcquireLease of the state machines."""

    def __init__(
        self, scope: Construct, construct_id: str, *, project: str, data: DataStore, endpoint_name: str
    ) -> None:
        super().__init__(scope, construct_id)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="endpoint", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=data.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.function = function(
            self,
            "Acquire",
            code=package("lease"),
            handler="lease.handler.handle",
            environment={"LEASE_TABLE": self.table.table_name, "ENDPOINT_NAME": endpoint_name},
            timeout=Duration.seconds(30),
            allowed=[
                permissions.use_table(self.table, "GetItem", "UpdateItem"),
                permissions.describe_executions(Stack.of(self), f"{project}-retrain", f"{project}-deploy"),
                data.use_key("dynamodb"),
            ],
        )
