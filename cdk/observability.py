"""Alarms, each with its section of the runbook, one composite alarm, and a dashboard."""

from aws_cdk import CfnResource, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.data import DataStore
from cdk.live_endpoint import alarm, endpoint_metric, label
from cdk.permissions import allow_service
from cdk.state_machine import Parts
from cdk.triggers import Triggers

OUTCOMES = ("Accepted", "Rejected")
INSTANCES = "/aws/sagemaker/Endpoints"
"""The namespace of the metrics of endpoints' instances."""


class Observability(Construct):
    """All alarms publish to the SNS topic; their descriptions name the section of the runbook."""

    def __init__(
        self, scope: Construct, parts: Parts, triggers: Triggers, *, retrain: sfn.StateMachine, drift: sfn.StateMachine
    ) -> None:
        super().__init__(scope, "Observability")
        self._parts, self._project = parts, parts.project
        project, live, serving = parts.project, parts.live, parts.serving
        # CloudWatch publishes with the topic's key (CloudWatch User Guide, "Amazon SNS topic encryption").
        parts.topic.add_to_resource_policy(allow_service(self, "cloudwatch", "sns:Publish", parts.topic.topic_arn))
        service = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        parts.data.key.grant(service, "kms:Decrypt", "kms:GenerateDataKey*")
        self._count_outcomes()
        age = triggers.queue.metric_approximate_age_of_oldest_message()
        dead_letters = triggers.dead_letters.metric_approximate_number_of_messages_visible()
        # Per alarm: its metric, its threshold and its meaning.
        watched: dict[str, tuple[cloudwatch.Metric, int, str]] = {
            "run-failed": (retrain.metric_failed(), 1, "A run failed"),
            "api-5xx": (serving.api.metric_server_error(), 1, "The API answered with a fault of its own"),
            "lambda-errors": (serving.function.metric_errors(), 1, "The invoke Lambda failed"),
            "queue-age": (age, 900, "A request for a run waits for more than 15 minutes"),
            "dead-letters": (dead_letters, 1, "A request for a run could not be handled"),
            "drift": (self._drift("Breaches"), 1, "Live traffic has moved from the training data"),
            "drift-failed": (drift.metric_failed(), 1, "A drift check failed"),
        }
        alarms = {
            name: alarm(self, name.title().replace("-", ""), metric, threshold, **label(project, name, meaning))
            for name, (metric, threshold, meaning) in watched.items()
        }
        failing = (live.error_alarm, alarms["api-5xx"], alarms["lambda-errors"])
        states = [cloudwatch.AlarmRule.from_alarm(each, cloudwatch.AlarmState.ALARM) for each in failing]
        described = label(project, "predictions-failing", "Predictions are failing")
        composite = cloudwatch.CompositeAlarm(
            self,
            "Failing",
            composite_alarm_name=described["alarm_name"],
            alarm_description=described["alarm_description"],
            alarm_rule=cloudwatch.AlarmRule.any_of(*states),
        )
        notify = actions.SnsAction(parts.topic)
        for each in (*alarms.values(), live.error_alarm, live.latency_alarm, composite):
            each.add_alarm_action(notify)
        self._dashboard({name: metric for name, (metric, _, _) in watched.items()}, retrain)

    def _count_outcomes(self) -> None:
        """Make metrics from the line that lambdas/finish writes for each execution."""
        equals = logs.FilterPattern.string_value
        machine = equals("$.machine", "=", "retrain")
        for name in OUTCOMES:
            logs.MetricFilter(
                self,
                name,
                log_group=self._parts.finish.functions["FinishFunction"].log_group,
                filter_pattern=logs.FilterPattern.all(machine, equals("$.outcome", "=", name.lower())),
                metric_namespace=f"{self._project}/runs",
                metric_name=name,
            )

    def _dashboard(self, watched: dict[str, cloudwatch.Metric], retrain: sfn.StateMachine) -> None:
        function, api, project = self._parts.serving.function, self._parts.serving.api, self._project
        runs = [cloudwatch.Metric(namespace=f"{project}/runs", metric_name=name, statistic="Sum") for name in OUTCOMES]
        calls = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
        title, namespace, names = "Endpoint: instances' load", INSTANCES, ("CPUUtilization", "MemoryUtilization")
        if self._parts.settings.endpoint.serverless:
            # Developer Guide, "Alarms and logs for tracking metrics from serverless endpoints".
            title, namespace, names = "Endpoint: cold starts", "AWS/SageMaker", ("ModelSetupTime", "OverheadLatency")
        # Billing is measured only in us-east-1, a few times a day (CloudWatch, "Monitor estimated charges").
        cost = cloudwatch.Metric(
            namespace="AWS/Billing",
            metric_name="EstimatedCharges",
            dimensions_map={"Currency": "USD"},
            statistic="Maximum",
            period=Duration.hours(6),
            region="us-east-1",
        )
        throttles, duration = function.metric_throttles(), function.metric_duration(statistic="p99")
        rows: list[dict[str, list[cloudwatch.IMetric]]] = [
            {
                "Runs": [retrain.metric_started(), *runs, watched["run-failed"]],
                "Duration of a run": [retrain.metric_time()],
                "Queue: age, dead letters": [watched["queue-age"], watched["dead-letters"]],
            },
            {
                "Endpoint: latency": [endpoint_metric(project, "ModelLatency", each) for each in ("p50", "p99")],
                "Endpoint: requests and refusals": [endpoint_metric(project, name, "Sum") for name in calls],
                title: [endpoint_metric(project, name, "Maximum", namespace) for name in names],
            },
            {
                "API: calls and refusals": [api.metric_count(), api.metric_client_error(), watched["api-5xx"]],
                "API: latency": [api.metric_latency(statistic="p99")],
                "Lambda: errors, throttles, duration": [watched["lambda-errors"], throttles, duration],
            },
            {
                "Drift: breaches, rows": [watched["drift"], self._drift("Rows")],
                "Drift: how far": [self._drift(name) for name in ("LargestPSI", "LargestKS", "LabelPSI")],
                "Cost of the account this month, US dollars": [cost],
            },
        ]
        widgets = [
            [cloudwatch.GraphWidget(title=title, left=list(lines), width=8) for title, lines in row.items()]
            for row in rows
        ]
        cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"{project}-{Stack.of(self).region}", widgets=widgets)

    def _drift(self, name: str) -> cloudwatch.Metric:
        period = Duration.minutes(5)
        namespace = f"{self._project}/drift"
        return cloudwatch.Metric(namespace=namespace, metric_name=name, statistic="Maximum", period=period)


def add_budget(scope: Construct, dollars: int, project: str, topic: sns.Topic, data: DataStore) -> None:
    """Add a budget of the whole account: cost allocation tags that could separate runs are inactive by default."""
    # AWS Budgets publishes as a service (Cost Management User Guide, "Creating an Amazon SNS topic for budgets").
    topic.add_to_resource_policy(allow_service(scope, "budgets", "sns:Publish", topic.topic_arn))
    data.key.add_to_resource_policy(allow_service(scope, "budgets", "kms:Decrypt kms:GenerateDataKey", "*"))
    limit = {"Amount": dollars, "Unit": "USD"}
    name = f"{project}-{Stack.of(scope).region}"  # budgets have no region
    budget = {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    subscribers = [{"SubscriptionType": "SNS", "Address": topic.topic_arn}]
    above, limits = "GREATER_THAN", (("ACTUAL", 80), ("FORECASTED", 100))
    alerts = [{"ComparisonOperator": above, "NotificationType": kind, "Threshold": share} for kind, share in limits]
    notifications = [{"Notification": alert, "Subscribers": subscribers} for alert in alerts]
    properties = {"Budget": budget, "NotificationsWithSubscribers": notifications}
    CfnResource(Construct(scope, "Budget"), "Monthly", type="AWS::Budgets::Budget", properties=properties)
