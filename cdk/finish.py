"""How executions end: the Lambda that frees the lease and notifies, and the rule for executions that were aborted."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.functions import function, package
from cdk.lease import Lease
from pipeline.config import Settings


class Finish(Construct):
    """`function` is Finish and FinishFailed of the machines; `approval` is WaitForApproval, if a person approves."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        topic: sns.ITopic,
        lease: Lease,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = {
            "PROJECT": settings.project.name,
            "DATA_BUCKET": data.bucket.bucket_name,
            "LEASE_TABLE": lease.table.table_name,
            "ENDPOINT_NAME": endpoint_name,
            "TOPIC": topic.topic_arn,
        }
        self._allowed = [
            permissions.use_table(lease.table, "UpdateItem"),
            *permissions.notify(Stack.of(self), topic.topic_arn),
            data.use_key("sns", "dynamodb"),
        ]
        self.function = self._function("Finish", "handle")
        self.approval = self._function("Approval", "ask") if settings.release.approval == "manual" else None

    def _function(self, name: str, handler: str) -> lambda_.Function:
        return function(
            self,
            name,
            code=package("finish"),
            handler=f"finish.handler.{handler}",
            environment=self._environment,
            timeout=Duration.seconds(30),
            allowed=[statement.copy() for statement in self._allowed],
        )

    @property
    def ports(self) -> dict[str, str]:
        """The functions by the names that the definitions have for them."""
        approval = {"ApprovalFunction": self.approval.function_arn} if self.approval else {}
        return {"FinishFunction": self.function.function_arn, **approval}

    def invoke(self) -> iam.PolicyStatement:
        """The right to call the functions."""
        return permissions.invoke(self.function, *([self.approval] if self.approval else []))

    def watch(self, machines: Sequence[sfn.IStateMachine], dead_letters: sqs.IQueue) -> None:
        """End the machines' executions that cannot call `function` themselves: aborted, timed out, or failed so."""
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
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=dead_letters)],
        )
