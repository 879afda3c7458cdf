"""The monthly budget of the account, with SNS alerts at 80 % of it and when the forecast exceeds it."""

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk.data import DataStore

THRESHOLDS = (("ACTUAL", 80), ("FORECASTED", 100))


def add_budget(scope: Construct, dollars: int, project: str, topic: sns.Topic, data: DataStore) -> None:
    """Add a budget of the whole account: cost allocation tags that could separate runs are inactive by default."""
    # AWS Budgets publishes as a service (Cost Management User Guide, "Creating an Amazon SNS topic for budgets").
    for policy, actions, resource in (
        (topic, ["sns:Publish"], topic.topic_arn),
        (data.key, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
    ):
        policy.add_to_resource_policy(
            iam.PolicyStatement(
                actions=actions,
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                resources=[resource],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
            )
        )
    limit = {"Amount": dollars, "Unit": "USD"}
    budget = {"BudgetName": project, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    alerts = [
        {
            "Notification": {"ComparisonOperator": "GREATER_THAN", "NotificationType": kind, "Threshold": percent},
            "Subscribers": [{"SubscriptionType": "SNS", "Address": topic.topic_arn}],
        }
        for kind, percent in THRESHOLDS
    ]
    properties = {"Budget": budget, "NotificationsWithSubscribers": alerts}
    CfnResource(Construct(scope, "Budget"), "Monthly", type="AWS::Budgets::Budget", properties=properties)
