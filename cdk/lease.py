"""The lease that executions take in turns: its table, and the Lambda that acquires it."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import function
from cdk.permissions import allow, granted


class Lease(Construct):
    """`table` has one item per endpoint; `function` is AcquireLease of the state machines."""

    def __init__(self, scope: Construct, construct_id: str, project: str, data: DataStore) -> None:
        super().__init__(scope, construct_id)
        recovery = dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="endpoint", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=data.key,
            point_in_time_recovery_specification=recovery,
            removal_policy=RemovalPolicy.DESTROY,
        )
        environment = {"LEASE_TABLE": self.table.table_name, "ENDPOINT_NAME": project}
        allowed = [
            allow("dynamodb:GetItem dynamodb:UpdateItem", self.table.table_arn),
            *granted(self, "lease", project),
            data.use_key("dynamodb", write=False),
        ]
        self.function = function(self, "Acquire", "lease", environment=environment, allowed=allowed)
