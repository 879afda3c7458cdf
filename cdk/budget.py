"""The monthly budget of the account, with SNS alerts at 80 % of it and when the forecast exceeds it."""

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk.data import DataStore
from cdk.permissions import allow_service


def add_budget(scope: Construct, dollars: int, project: str, topic: sns.Topic, data: DataStore) -> None:
    """Add a budget of the whole account: cost allocation tags that could separate runs are inactive by default."""
    # AWS Budgets publishes as a service (Cost Management User Guide, "Creating an Amazon SNS topic for budgets").
    topic.add_to_resource_policy(allow_service(scope, "budgets", "sns:Publish", topic.topic_arn))
    data.key.add_to_resource_policy(allow_service(scope, "budgets", "kms:Decrypt kms:GenerateDataKey", "*"))
    limit = {"Amount": dollars, "Unit": "USD"}
    name = f"{project}-{Stack.of(scope).region}"  # budgets have no region
    budget = {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    subscribers = [{"SubscriptionType": "SNS", "Address": topic.topic_arn}]
    alerts = [
        {"ComparisonOperator": "GREATER_THAN", "NotificationType": kind, "Threshold": percent}
        for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
    ]
    notifications = [{"Notification": alert, "Subscribers": subscribers} for alert in alerts]
    properties = {"Budget": budget, "NotificationsWithSubscribers": notifications}
    CfnResource(Construct(scope, "Budget"), "Monthly", type="AWS::Budgets::Budget", properties=properties)
