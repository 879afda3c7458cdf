"""The triggers of a run (uploads, drift, a schedule, users): rules, a queue and a Lambda."""

import os
import subprocess
from functools import partial
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
"""Enough for some 250 pages of 1,000 object versions."""


class Triggers(Construct):
    """Events wait in a queue; the Lambda lists the data once per batch and starts at most one run."""

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
        queue = partial(sqs.Queue, self, encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True)
        self.dead_letters = queue("DeadLetters", retention_period=Duration.days(14))
        self.queue = queue(
            "Queue",
            delivery_delay=Duration.seconds(settings.trigger.delay_seconds),
            # Six times the function's timeout (Lambda Developer Guide, "Using Lambda with Amazon SQS").
            visibility_timeout=Duration.seconds(6 * TIMEOUT.to_seconds()),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=5),
        )
        self.function = function(
            self,
            "Function",
            code=lambda_.Code.from_asset(str(ROOT / "lambdas"), exclude=["*", "!trigger", "!trigger/*.py"]),
            handler="trigger.handler.handle",
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
        batches = sources.SqsEventSource(
            self.queue,
            batch_size=100,
            max_batching_window=Duration.seconds(1),
            max_concurrency=2,
            report_batch_item_failures=True,
        )
        self.function.add_event_source(batches)
        uploads = {"bucket": {"name": [data.bucket.bucket_name]}, "object": {"key": [{"prefix": settings.data.prefix}]}}
        pattern = events.EventPattern(source=["aws.s3"], detail_type=["Object Created"], detail=uploads)
        key = events.EventField.from_path("$.detail.object.key")
        self._send(events.Rule(self, "OnUpload", event_pattern=pattern), {"reason": "upload", "key": key})
        if settings.drift.retrain != "never":
            pattern = events.EventPattern(source=[f"{settings.project.name}.drift"])
            # Known data gives the same model again: only "always" forces a run on it.
            force = settings.drift.retrain == "always"
            self._send(events.Rule(self, "OnDrift", event_pattern=pattern), {"reason": "drift", "force": force})
        if settings.trigger.schedule:
            schedule = events.Schedule.expression(settings.trigger.schedule)
            self._send(events.Rule(self, "OnSchedule", schedule=schedule), {"reason": "schedule"})

    def _send(self, rule: events.Rule, request: dict[str, str | bool]) -> None:
        """Make the rule send the request to the queue, or after 24 hours of failures to the dead letters."""
        message = events.RuleTargetInput.from_object(request)
        rule.add_target(targets.SqsQueue(self.queue, message=message, dead_letter_queue=self.dead_letters))


def commit() -> str:
    """Return the deployed commit: CodeBuild's, or the working tree's, with `-dirty` if it has changes."""
    if "CODEBUILD_RESOLVED_SOURCE_VERSION" in os.environ:
        return os.environ["CODEBUILD_RESOLVED_SOURCE_VERSION"]
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    described = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def _permissions(
    stack: Stack, prefix: str, data: DataStore, machine: sfn.StateMachine, lease: dynamodb.ITable
) -> list[iam.PolicyStatement]:
    name, style = f"{machine.state_machine_name}:*", ArnFormat.COLON_RESOURCE_NAME
    runs = stack.format_arn(service="states", resource="execution", resource_name=name, arn_format=style)
    via = {"StringEquals": {"kms:ViaService": f"dynamodb.{stack.region}.{stack.url_suffix}"}}
    within = {"StringEquals": {"s3:prefix": prefix}}
    return [
        iam.PolicyStatement(actions=["s3:ListBucketVersions"], resources=[data.bucket.bucket_arn], conditions=within),
        iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine.state_machine_arn]),
        # Any execution may have had the same data.
        iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[runs]),
        iam.PolicyStatement(actions=["dynamodb:GetItem", "dynamodb:UpdateItem"], resources=[lease.table_arn]),
        # DynamoDB uses the table's key in the caller's name (DynamoDB Developer Guide, "Encryption at rest").
        iam.PolicyStatement(actions=["kms:Decrypt"], resources=[data.key.key_arn], conditions=via),
    ]
