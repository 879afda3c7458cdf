"""A budget of the account, told to the topic of outcomes: at 80 % of it, and when more than all of it is forecast."""

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

AT = (("ACTUAL", 80), ("FORECASTED", 100))
SERVICE = "budgets.amazonaws.com"


class Budget(Construct):
    """Of the whole account: what runs make at run time carries no cost allocation tag that is active by itself."""

    def __init__(
        self, scope: Construct, construct_id: str, *, dollars: int, name: str, topic: sns.Topic, key: kms.Key
    ) -> None:
        super().__init__(scope, construct_id)
        # AWS Budgets publishes as a service (Cost Management User Guide, "Creating an Amazon SNS topic for budgets").
        mine = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        budgets_service = iam.ServicePrincipal(SERVICE)
        for policy, actions, resource in (
            (topic, ["sns:Publish"], topic.topic_arn),
            (key, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
        ):
            policy.add_to_resource_policy(
                iam.PolicyStatement(
                    actions=actions, principals=[budgets_service], resources=[resource], conditions=mine
                )
            )
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=name,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=dollars, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=percent
                    ),
                    subscribers=[subscriber],
                )
                for kind, percent in AT
            ],
        )
