"""What an operator sees without looking for it: alarms with their runbook's place, one composite alarm, a dashboard."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk.api.prediction_api import PredictionApi
from cdk.drift import Drift
from cdk.finish import Finish
from cdk.live_endpoint import LiveEndpoint
from cdk.retrain import Retrain
from cdk.triggers import Triggers
from pipeline.config import Settings

RUNBOOK = "docs/runbook.md"
FIVE_MINUTES = Duration.minutes(5)
OUTCOMES = ("Accepted", "Rejected")


class Observability(Construct):
    """Alarms tell the topic of outcomes; their descriptions name the section of the runbook that says what to do."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        topic: sns.Topic,
        serving: PredictionApi,
        live: LiveEndpoint,
        retrain: Retrain,
        finish: Finish,
        triggers: Triggers,
        drift: Drift,
    ) -> None:
        super().__init__(scope, construct_id)
        self._project = settings.project.name
        self._notify = actions.SnsAction(topic)
        self._metrics = _Metrics(self._project, serving, retrain, triggers, drift)
        # CloudWatch may publish for alarms of this account alone, and open the topic's key to do so (CloudWatch User
        # Guide, "Amazon SNS topic encryption").
        cloudwatch_ = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[cloudwatch_],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        if topic.master_key is not None:
            topic.master_key.grant(cloudwatch_, "kms:Decrypt", "kms:GenerateDataKey*")
        for outcome in OUTCOMES:
            logs.MetricFilter(
                self,
                outcome,
                log_group=finish.function.log_group,
                # The line that lambdas/finish writes for each execution.
                filter_pattern=logs.FilterPattern.all(
                    logs.FilterPattern.string_value("$.machine", "=", "retrain"),
                    logs.FilterPattern.string_value("$.outcome", "=", outcome.lower()),
                ),
                metric_namespace=f"{self._project}/runs",
                metric_name=outcome,
            )
        found = self._alarms()
        for rolled_back in (live.error_alarm, live.latency_alarm):
            rolled_back.add_alarm_action(self._notify)
        failing = cloudwatch.CompositeAlarm(
            self,
            "Failing",
            composite_alarm_name=f"{self._project}-predictions-failing",
            alarm_description=f"Predictions are failing: {RUNBOOK}#predictions-failing",
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in (live.error_alarm, found["api-5xx"], found["lambda-errors"])
                )
            ),
        )
        failing.add_alarm_action(self._notify)
        self._dashboard()

    def _alarms(self) -> dict[str, cloudwatch.Alarm]:
        """By name; each rings on one period, and no data is no fault."""
        metrics = self._metrics
        bounds = {
            "run-failed": (metrics.failed, 1, "A run failed"),
            "api-5xx": (metrics.api_5xx, 1, "The API answered with a fault of its own"),
            "lambda-errors": (metrics.lambda_errors, 1, "The invoke Lambda failed"),
            "queue-age": (metrics.queue_age, 900, "A request for a run waits for more than 15 minutes"),
            "dead-letters": (metrics.dead_letters, 1, "A request for a run could not be handled"),
            "drift": (metrics.drift("Breaches"), 1, "Live traffic has moved from the training data"),
            "drift-failed": (metrics.drift_failed, 1, "A drift check failed"),
        }
        found = {}
        for name, (metric, threshold, meaning) in bounds.items():
            found[name] = cloudwatch.Alarm(
                self,
                "".join(part.title() for part in name.split("-")),
                alarm_name=f"{self._project}-{name}",
                alarm_description=f"{meaning}: {RUNBOOK}#{name}",
                metric=metric,
                threshold=threshold,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            found[name].add_alarm_action(self._notify)
        return found

    def _dashboard(self) -> None:
        metrics = self._metrics

        def graph(title: str, *lines: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(lines), width=8)

        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._project,
            widgets=[
                [
                    graph("Runs", metrics.started, *map(metrics.outcome, OUTCOMES), metrics.failed),
                    graph("Duration of a run", metrics.duration),
                    graph("Queue: age, dead letters", metrics.queue_age, metrics.dead_letters),
                ],
                [
                    graph("Endpoint: latency", *(metrics.endpoint("ModelLatency", each) for each in ("p50", "p99"))),
                    graph("Endpoint: requests and refusals", *(metrics.endpoint(name, "Sum") for name in
                          ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors"))),
                    graph("Endpoint: instances' load", *map(metrics.instance, ("CPUUtilization", "MemoryUtilization"))),
                ],
                [
                    graph("API: calls and refusals", metrics.api_calls, metrics.api_4xx, metrics.api_5xx),
                    graph("API: latency", metrics.api_latency),
                    graph("Lambda: errors, throttles, duration", metrics.lambda_errors, metrics.lambda_throttles,
                          metrics.lambda_duration),
                ],
                [
                    graph("Drift: breaches, rows", metrics.drift("Breaches"), metrics.drift("Rows")),
                    graph("Drift: how far", *map(metrics.drift, ("LargestPSI", "LargestKS", "LabelPSI"))),
                    graph("Cost of the account this month, US dollars", metrics.cost),
                ],
            ],
        )  # fmt: skip


class _Metrics:
    """The metrics by what they mean."""

    def __init__(
        self, project: str, serving: PredictionApi, retrain: Retrain, triggers: Triggers, drift: Drift
    ) -> None:
        self._project = project
        machine, function, api = retrain.machine, serving.function, serving.api
        self.started, self.failed = machine.metric_started(), machine.metric_failed()
        self.duration = machine.metric_time()
        self.drift_failed = drift.machine.metric_failed()
        self.lambda_errors, self.lambda_throttles = function.metric_errors(), function.metric_throttles()
        self.lambda_duration = function.metric_duration(statistic="p99")
        self.api_calls, self.api_latency = api.metric_count(), api.metric_latency(statistic="p99")
        self.api_4xx, self.api_5xx = api.metric_client_error(), api.metric_server_error()
        self.queue_age = triggers.queue.metric_approximate_age_of_oldest_message()
        self.dead_letters = triggers.dead_letters.metric_approximate_number_of_messages_visible()
        # Billing is measured in us-east-1 alone, a few times a day (CloudWatch, "Monitor estimated charges").
        self.cost = cloudwatch.Metric(
            namespace="AWS/Billing",
            metric_name="EstimatedCharges",
            dimensions_map={"Currency": "USD"},
            statistic="Maximum",
            period=Duration.hours(6),
            region="us-east-1",
        )

    def outcome(self, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(namespace=f"{self._project}/runs", metric_name=name, statistic="Sum")

    def endpoint(self, name: str, statistic: str) -> cloudwatch.Metric:
        return self._of_endpoint("AWS/SageMaker", name, statistic)

    def instance(self, name: str) -> cloudwatch.Metric:
        return self._of_endpoint("/aws/sagemaker/Endpoints", name, "Maximum")

    def drift(self, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(namespace=f"{self._project}/drift", metric_name=name, statistic="Maximum",
                                 period=FIVE_MINUTES)  # fmt: skip

    def _of_endpoint(self, namespace: str, name: str, statistic: str) -> cloudwatch.Metric:
        place = {"EndpointName": self._project, "VariantName": "AllTraffic"}
        return cloudwatch.Metric(namespace=namespace, metric_name=name, dimensions_map=place, statistic=statistic)
