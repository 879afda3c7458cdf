"""The drift check: its state machine, the Lambda that collects a window, and the schedule."""

import json
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.retraining import Retraining
from pipeline import drift
from pipeline.config import Settings

LAMBDAS = Path(__file__).parent.parent / "lambdas"


class Drift(Construct):
    """The state machine that `pipeline.drift` defines, on a schedule; its jobs run in the role of the retraining's."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        retraining: Retraining,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack, project = Stack.of(self), settings.project.name
        window = self._window(settings, data, endpoint_name)
        partition = RegionInfo.get(stack.region).partition or "aws"
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{project}-drift",
            definition_body=sfn.DefinitionBody.from_string(json.dumps(drift.definition(settings, partition), indent=1)),
            definition_substitutions={**retraining.ports, "WindowFunction": window.function_arn},
            logs=sfn.LogOptions(destination=_log_group(self, "Log"), level=sfn.LogLevel.ALL),
            tracing_enabled=True,
        )
        retraining.job_role.add_to_principal_policy(_read(data, "captured/*"))
        bus = stack.format_arn(service="events", resource="event-bus", resource_name="default")
        for statement in [
            *permissions.run_jobs(stack, project, ["Processing"]),
            permissions.pass_role(retraining.job_role),
            _read(data, "runs/*/drift/summary.json"),
            iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[data.key.key_arn]),
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[window.function_arn]),
            iam.PolicyStatement(actions=["sns:Publish"], resources=[retraining.ports["Topic"]]),
            iam.PolicyStatement(actions=["events:PutEvents"], resources=[bus]),
            # PutMetricData names no resource; its namespace is the bound (Service Authorization Reference, CloudWatch).
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": f"{project}/drift"}},
            ),
        ]:
            self.machine.add_to_role_policy(statement)
        if settings.drift.schedule:
            schedule = events.Schedule.expression(settings.drift.schedule)
            events.Rule(self, "OnSchedule", schedule=schedule, targets=[targets.SfnStateMachine(self.machine)])

    def _window(self, settings: Settings, data: DataStore, endpoint_name: str) -> lambda_.Function:
        stack, project = Stack.of(self), settings.project.name
        function = lambda_.Function(
            self,
            "Window",
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.ARM_64,
            handler="window.handler.handle",
            code=lambda_.Code.from_asset(str(LAMBDAS), exclude=["*", "!window", "!window/*.py"]),
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "ENDPOINT_NAME": endpoint_name,
                "WINDOW_HOURS": str(settings.drift.window_hours),
                "TRUTH_DAYS": str(settings.drift.truth_days),
            },
            memory_size=512,
            timeout=Duration.minutes(4),
            tracing=lambda_.Tracing.ACTIVE,
            logging_format=lambda_.LoggingFormat.JSON,
            log_group=_log_group(self, "WindowLog"),
        )

        def named(resource: str, name: str) -> str:
            return stack.format_arn(service="sagemaker", resource=resource, resource_name=name)

        put = data.bucket.arn_for_objects("runs/*/window/*")
        for statement in [
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[data.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": ["captured/*", "feedback/*"]}},
            ),
            _read(data, "feedback/*"),
            iam.PolicyStatement(actions=["s3:PutObject"], resources=[put]),
            iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[data.key.key_arn]),
            iam.PolicyStatement(
                actions=["sagemaker:DescribeEndpoint"], resources=[named("endpoint", endpoint_name)]
            ),
            iam.PolicyStatement(
                actions=["sagemaker:DescribeEndpointConfig"], resources=[named("endpoint-config", f"{project}-*")]
            ),
            iam.PolicyStatement(actions=["sagemaker:DescribeModel"], resources=[named("model", f"{project}-*")]),
        ]:  # fmt: skip
            function.add_to_role_policy(statement)
        return function


def _read(data: DataStore, key: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=["s3:GetObject"], resources=[data.bucket.arn_for_objects(key)])


def _log_group(scope: Construct, name: str) -> logs.LogGroup:
    return logs.LogGroup(scope, name, retention=logs.RetentionDays.THREE_MONTHS, removal_policy=RemovalPolicy.DESTROY)
