"""What ends the runs that could not end by themselves: aborted, out of time, or failed outside of their states."""

import json

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from pipeline import workflow
from pipeline.config import Settings


class Ending(Construct):
    """A rule on the end of the machine's executions, and the state machine that frees their lease and tells."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        topic: sns.ITopic,
        machine: sfn.StateMachine,
        lease: dynamodb.ITable,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        partition = RegionInfo.get(Stack.of(self).region).partition or "aws"
        log_group = logs.LogGroup(
            self, "Log", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=RemovalPolicy.DESTROY
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{settings.project.name}-ending",
            definition_body=sfn.DefinitionBody.from_string(json.dumps(workflow.ending(settings, partition), indent=1)),
            definition_substitutions={
                "EndpointName": endpoint_name,
                "LeaseTable": lease.table_name,
                "Topic": topic.topic_arn,
            },
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL),
            tracing_enabled=True,
        )
        lease.grant(self.machine, "dynamodb:UpdateItem")
        events.EventBus.from_event_bus_name(self, "Events", "default").grant_put_events_to(self.machine)
        topic.grant_publish(self.machine)
        key.grant_encrypt_decrypt(self.machine)
        events.Rule(
            self,
            "OnEnd",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [machine.state_machine_arn],
                    "status": ["ABORTED", "TIMED_OUT", "FAILED"],
                },
            ),
            targets=[targets.SfnStateMachine(self.machine)],
        )
