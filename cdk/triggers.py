"""The triggers of a run (uploads, drift, a schedule, users): rules, a queue and a Lambda."""

from functools import partial
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.commit import commit
from cdk.functions import function
from cdk.permissions import allow, arn
from cdk.state_machine import LISTING_TIMEOUT, Parts


class Triggers(Construct):
    """Events wait in a queue; the Lambda lists the data once per batch and starts at most one run."""

    def __init__(self, scope: Construct, parts: Parts, machine: sfn.StateMachine) -> None:
        super().__init__(scope, "Triggers")
        settings, data, lease = parts.settings, parts.data, parts.lease.table
        queue = partial(sqs.Queue, self, encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True)
        self.dead_letters = queue("DeadLetters", retention_period=Duration.days(14))
        self.queue = queue(
            "Queue",
            delivery_delay=Duration.seconds(settings.trigger.delay_seconds),
            # Six times the function's timeout (Lambda Developer Guide, "Using Lambda with Amazon SQS").
            visibility_timeout=Duration.seconds(6 * LISTING_TIMEOUT.to_seconds()),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=5),
        )
        through = {"StringEquals": {"kms:ViaService": data.service("dynamodb")}}
        self.function = function(
            self,
            "Function",
            "trigger",
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "DATA_PREFIX": settings.data.prefix,
                "DATA_MARKER": settings.trigger.marker,
                "STATE_MACHINE": machine.state_machine_arn,
                "SETTINGS_HASH": settings.hash,
                "COMMIT": commit(),
                "LEASE_TABLE": lease.table_name,
                "ENDPOINT_NAME": settings.project.name,
            },
            timeout=LISTING_TIMEOUT,
            allowed=[
                data.list_versions(settings.data.prefix),
                allow("states:StartExecution", machine.state_machine_arn),
                # Any execution may have had the same data.
                allow("states:DescribeExecution", arn(self, "states:execution", f"{machine.state_machine_name}:*")),
                allow("dynamodb:GetItem dynamodb:UpdateItem", lease.table_arn),
                # DynamoDB uses the table's key in the caller's name (DynamoDB Developer Guide, "Encryption at rest").
                allow("kms:Decrypt", data.key.key_arn, where=through),
            ],
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
        self._send("OnUpload", {"reason": "upload", "key": key}, event_pattern=pattern)
        if settings.drift.retrain != "never":
            # Known data gives the same model again: only "always" forces a run on it.
            force = settings.drift.retrain == "always"
            pattern = events.EventPattern(source=[f"{settings.project.name}.drift"])
            self._send("OnDrift", {"reason": "drift", "force": force}, event_pattern=pattern)
        if settings.trigger.schedule:
            schedule = events.Schedule.expression(settings.trigger.schedule)
            self._send("OnSchedule", {"reason": "schedule"}, schedule=schedule)

    def _send(self, rule: str, request: dict[str, str | bool], **when: Any) -> None:
        """Add a rule that sends the request to the queue, or after 24 hours of failures to the dead letters."""
        message = events.RuleTargetInput.from_object(request)
        target = targets.SqsQueue(self.queue, message=message, dead_letter_queue=self.dead_letters)
        events.Rule(self, rule, targets=[target], **when)
