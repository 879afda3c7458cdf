"""The drift check: its state machine, the Lambda that collects a window, and the schedule."""

import json
from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import function, log_group
from cdk.permissions import allow, pass_role, run_jobs, tell
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
        dead_letters: sqs.IQueue,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack, project = Stack.of(self), settings.project.name
        window = function(
            self,
            "Window",
            code=lambda_.Code.from_asset(str(LAMBDAS), exclude=["*", "!window", "!window/*.py"]),
            handler="window.handler.handle",
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "ENDPOINT_NAME": endpoint_name,
                "WINDOW_HOURS": str(settings.drift.window_hours),
                "TRUTH_DAYS": str(settings.drift.truth_days),
            },
            timeout=Duration.minutes(4),
            allowed=_collect(stack, project, data, endpoint_name),
        )
        partition = RegionInfo.get(stack.region).partition or "aws"
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{project}-drift",
            definition_body=sfn.DefinitionBody.from_string(json.dumps(drift.definition(settings, partition), indent=1)),
            definition_substitutions={**retraining.ports, "WindowFunction": window.function_arn},
            logs=sfn.LogOptions(destination=log_group(self, "Log"), level=sfn.LogLevel.ALL),
            tracing_enabled=True,
        )
        retraining.let_jobs(allow("s3:GetObject", data.bucket.arn_for_objects("captured/*")))
        for statement in [
            *run_jobs(stack, project, ["Processing"]),
            pass_role(retraining.job_role),
            allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/drift/summary.json")),
            allow("lambda:InvokeFunction", window.function_arn),
            *tell(stack, retraining.ports["Topic"]),
            data.use_key("s3", "sns"),
            # PutMetricData names no resource; its namespace is the bound (Service Authorization Reference, CloudWatch).
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": f"{project}/drift"}},
            ),
        ]:  # fmt: skip
            self.machine.add_to_role_policy(statement)
        if settings.drift.schedule:
            schedule = events.Schedule.expression(settings.drift.schedule)
            target = targets.SfnStateMachine(self.machine, dead_letter_queue=dead_letters)
            events.Rule(self, "OnSchedule", schedule=schedule, targets=[target])


def _collect(stack: Stack, project: str, data: DataStore, endpoint: str) -> list[iam.PolicyStatement]:
    """Seeing what is live, listing what was captured, reading what was fed back, and writing the window's folder."""

    def named(resource: str, name: str) -> str:
        return stack.format_arn(service="sagemaker", resource=resource, resource_name=name)

    return [
        allow("sagemaker:DescribeEndpoint", named("endpoint", endpoint)),
        allow("sagemaker:DescribeEndpointConfig", named("endpoint-config", f"{project}-*")),
        allow("sagemaker:DescribeModel", named("model", f"{project}-*")),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[data.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": ["captured/*", "feedback/*"]}},
        ),
        allow("s3:GetObject", data.bucket.arn_for_objects("feedback/*")),
        allow("s3:PutObject", data.bucket.arn_for_objects("runs/*/window/*")),
        data.use_key("s3"),
    ]
