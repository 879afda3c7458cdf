"""How executions end: the Lambda that frees the lease and notifies, and the rule for executions that were aborted."""

from collections.abc import Sequence

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import function
from cdk.lease import Lease
from cdk.permissions import allow, granted
from pipeline.config import Settings


class Finish(Construct):
    """`functions` by port: Finish and FinishFailed of the machines, and WaitForApproval if a person approves."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        data: DataStore,
        *,
        topic: sns.ITopic,
        lease: Lease,
    ) -> None:
        super().__init__(scope, construct_id)
        project = settings.project.name
        environment = {
            "PROJECT": project,
            "DATA_BUCKET": data.bucket.bucket_name,
            "LEASE_TABLE": lease.table.table_name,
            "ENDPOINT_NAME": project,
            "TOPIC": topic.topic_arn,
        }
        handlers = {"Finish": "handle", **({"Approval": "ask"} if settings.release.approval == "manual" else {})}
        self.functions: dict[str, lambda_.Function] = {}
        for name, handler in handlers.items():
            allowed = [
                allow("dynamodb:UpdateItem", lease.table.table_arn),
                allow("sns:Publish", topic.topic_arn),
                *granted(self, "finish", project),
                data.use_key("sns", "dynamodb"),
            ]
            made = function(self, name, "finish", handler=handler, environment=environment, allowed=allowed)
            self.functions[f"{name}Function"] = made

    def watch(self, machines: Sequence[sfn.IStateMachine], dead_letters: sqs.IQueue) -> None:
        """End the executions that cannot call Finish themselves: aborted, timed out, or failed there."""
        events.Rule(
            self,
            "OnEnd",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [machine.state_machine_arn for machine in machines],
                    "status": ["ABORTED", "TIMED_OUT", "FAILED"],
                },
            ),
            targets=[targets.LambdaFunction(self.functions["FinishFunction"], dead_letter_queue=dead_letters)],
        )
