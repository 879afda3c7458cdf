"""What ends the runs that could not end by themselves: aborted, out of time, or failed outside of their states."""

import json

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import log_group
from cdk.permissions import tell
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
        data: DataStore,
        topic: sns.ITopic,
        machine: sfn.StateMachine,
        lease: dynamodb.ITable,
        dead_letters: sqs.IQueue,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        partition = RegionInfo.get(stack.region).partition or "aws"
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
            logs=sfn.LogOptions(destination=log_group(self, "Log"), level=sfn.LogLevel.ALL),
            tracing_enabled=True,
        )
        lease.grant(self.machine, "dynamodb:UpdateItem")
        for statement in (*tell(stack, topic.topic_arn), data.use_key("sns", "dynamodb")):
            self.machine.add_to_role_policy(statement)
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
            targets=[targets.SfnStateMachine(self.machine, dead_letter_queue=dead_letters)],
        )
