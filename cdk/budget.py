"""The monthly budget of the account, with SNS alerts at 80 % of it and when the forecast exceeds it."""

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

THRESHOLDS = (("ACTUAL", 80), ("FORECASTED", 100))


class Budget(Construct):
    """A budget of the whole account, as cost allocation tags that could separate runs are inactive by default."""

    def __init__(
        self, scope: Construct, construct_id: str, *, dollars: int, name: str, topic: sns.Topic, key: kms.Key
    ) -> None:
        super().__init__(scope, construct_id)
        # AWS Budgets publishes as a service (Cost Management User Guide, "Creating an Amazon SNS topic for budgets").
        this_account = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        for policy, actions, resource in (
            (topic, ["sns:Publish"], topic.topic_arn),
            (key, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
        ):
            service = [iam.ServicePrincipal("budgets.amazonaws.com")]
            policy.add_to_resource_policy(
                iam.PolicyStatement(actions=actions, principals=service, resources=[resource], conditions=this_account)
            )
        limit = {"Amount": dollars, "Unit": "USD"}
        budget = {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        alerts = [
            {
                "Notification": {"ComparisonOperator": "GREATER_THAN", "NotificationType": kind, "Threshold": percent},
                "Subscribers": [{"SubscriptionType": "SNS", "Address": topic.topic_arn}],
            }
            for kind, percent in THRESHOLDS
        ]
        properties = {"Budget": budget, "NotificationsWithSubscribers": alerts}
        CfnResource(self, "Monthly", type="AWS::Budgets::Budget", properties=properties)
