"""What starts a run: uploads, drift, a schedule and people, by one path of a queue and a Lambda."""

import os
import subprocess
from pathlib import Path

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import function
from pipeline.config import Settings

ROOT = Path(__file__).parent.parent
TIMEOUT = Duration.seconds(30)
"""Some 250 pages of 1,000 object versions."""


class Triggers(Construct):
    """Events wait in a queue; the Lambda lists the data once for all that came together, and starts a run or none."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        machine: sfn.StateMachine,
        lease: dynamodb.ITable,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            delivery_delay=Duration.seconds(settings.trigger.delay_seconds),
            # Six times the function's timeout (Lambda Developer Guide, "Using Lambda with Amazon SQS").
            visibility_timeout=Duration.seconds(6 * TIMEOUT.to_seconds()),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=5),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.function = self._function(settings, data, machine, lease, endpoint_name)
        self.function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=100,
                max_batching_window=Duration.seconds(1),
                max_concurrency=2,
                report_batch_item_failures=True,
            )
        )
        uploaded = {
            "bucket": {"name": [data.bucket.bucket_name]},
            "object": {"key": [{"prefix": settings.data.prefix}]},
        }
        upload = events.EventPattern(source=["aws.s3"], detail_type=["Object Created"], detail=uploaded)
        key = events.EventField.from_path("$.detail.object.key")
        self._on("Upload", {"reason": "upload", "key": key}, event_pattern=upload)
        if settings.drift.retrain != "never":
            drift = events.EventPattern(source=[f"{settings.project.name}.drift"])
            # Data that had its run gives the same model again: it runs once more only if the settings want it so.
            again = settings.drift.retrain == "always"
            self._on("Drift", {"reason": "drift", "force": again}, event_pattern=drift)
        if settings.trigger.schedule:
            schedule = events.Schedule.expression(settings.trigger.schedule)
            self._on("Schedule", {"reason": "schedule"}, schedule=schedule)

    def _on(
        self,
        what: str,
        request: dict[str, str | bool],
        *,
        event_pattern: events.EventPattern | None = None,
        schedule: events.Schedule | None = None,
    ) -> None:
        """A rule that puts the request into the queue; what EventBridge cannot put in 24 hours is a dead letter."""
        message = events.RuleTargetInput.from_object(request)
        target = targets.SqsQueue(self.queue, message=message, dead_letter_queue=self.dead_letters)
        events.Rule(self, f"On{what}", event_pattern=event_pattern, schedule=schedule, targets=[target])

    def _function(
        self, settings: Settings, data: DataStore, machine: sfn.StateMachine, lease: dynamodb.ITable, endpoint_name: str
    ) -> lambda_.Function:
        code = lambda_.Code.from_asset(str(ROOT / "lambdas"), exclude=["*", "!retrain", "!retrain/*.py"])
        return function(
            self,
            "Retrain",
            code=code,
            handler="retrain.handler.handle",
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "DATA_PREFIX": settings.data.prefix,
                "DATA_MARKER": settings.trigger.marker,
                "STATE_MACHINE": machine.state_machine_arn,
                "SETTINGS_HASH": settings.hash,
                "COMMIT": commit(),
                "LEASE_TABLE": lease.table_name,
                "ENDPOINT_NAME": endpoint_name,
            },
            timeout=TIMEOUT,
            allowed=_permissions(Stack.of(self), settings.data.prefix, data, machine, lease),
        )


def commit() -> str:
    """The commit that is deployed: CodeBuild's, or the working tree's; `-dirty` when that has changes."""
    if "CODEBUILD_RESOLVED_SOURCE_VERSION" in os.environ:
        return os.environ["CODEBUILD_RESOLVED_SOURCE_VERSION"]
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def _permissions(
    stack: Stack, prefix: str, data: DataStore, machine: sfn.StateMachine, lease: dynamodb.ITable
) -> list[iam.PolicyStatement]:
    runs = stack.format_arn(
        service="states",
        resource="execution",
        resource_name=f"{machine.state_machine_name}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return [
        iam.PolicyStatement(
            actions=["s3:ListBucketVersions"],
            resources=[data.bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": prefix}},
        ),
        iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine.state_machine_arn]),
        # Which of the machine's runs had the same data is known only when it is looked up.
        iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[runs]),
        iam.PolicyStatement(actions=["dynamodb:GetItem", "dynamodb:UpdateItem"], resources=[lease.table_arn]),
        # DynamoDB opens the table's key in the caller's name (DynamoDB Developer Guide, "Encryption at rest").
        iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[data.key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"dynamodb.{stack.region}.{stack.url_suffix}"}},
        ),
    ]
