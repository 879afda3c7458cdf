"""How executions take turns and end: the lease, the Lambda that frees it and notifies, the rule for aborted ones."""

import json
import shutil
from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import LAMBDAS, function, output_folder
from cdk.permissions import allow, granted, invoke
from pipeline.config import Settings


class Lease(Construct):
    """`table` has one item per endpoint; `function` is AcquireLease of the state machines."""

    def __init__(self, scope: Construct, project: str, data: DataStore) -> None:
        super().__init__(scope, "ExecutionLease")
        recovery = dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="endpoint", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=data.key,
            point_in_time_recovery_specification=recovery,
            removal_policy=RemovalPolicy.DESTROY,
        )
        environment = {"LEASE_TABLE": self.table.table_name, "ENDPOINT_NAME": project}
        allowed = [
            allow("dynamodb:GetItem dynamodb:UpdateItem", self.table.table_arn),
            *granted(self, "lease", project),
            data.use_key("dynamodb", write=False),
        ]
        self.function = function(self, "Acquire", "lease", environment=environment, allowed=allowed)


class Finish(Construct):
    """`functions` by port: Finish and FinishFailed of the machines, and WaitForApproval if a person approves."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStore, topic: sns.ITopic, lease: Lease) -> None:
        super().__init__(scope, "Finish")
        project = settings.project.name
        environment = {
            "PROJECT": project,
            "DATA_BUCKET": data.bucket.bucket_name,
            "LEASE_TABLE": lease.table.table_name,
            "ENDPOINT_NAME": project,
            "TOPIC": topic.topic_arn,
        }
        handlers = {"Finish": "handler.handle"}
        if settings.asks:
            handlers["Approval"] = "handler.ask"
        self._environment, self._project, self._data, self._topic = environment, project, data, topic
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

    def check_live(
        self, golden: dict[str, Any], predict: lambda_.IFunction, deploy: sfn.IStateMachine, dead_letters: sqs.IQueue
    ) -> None:
        """Ask what is live, by the smoke test with the `golden` rows, if the deployment that made it did not succeed.

        AWS may send the events twice and delivers them on best effort.
        """
        package = output_folder(self) / "check"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(LAMBDAS / "finish", package / "finish", ignore=shutil.ignore_patterns("__pycache__"))
        (package / "finish" / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
        bucket = self._data.bucket
        allowed = [
            *granted(self, "check", self._project),
            *granted(self, "finish", self._project),
            allow("s3:GetObject", bucket.arn_for_objects("runs/*/evaluation/smoke.json")),
            # Without it, S3 answers 403 for an object that is not there; a condition on the prefix would not hold then.
            allow("s3:ListBucket", bucket.bucket_arn),
            allow("sns:Publish", self._topic.topic_arn),
            invoke(predict),
            self._data.use_key("sns", "s3"),
        ]
        check = function(
            self,
            "Check",
            "finish",
            handler="check.handle",
            code=lambda_.Code.from_asset(str(package)),
            environment={**self._environment, "PREDICT_FUNCTION": predict.function_arn},
            # The smoke test's own 29 s, three times.
            timeout=Duration.minutes(2),
            allowed=allowed,
        )
        ended = {"stateMachineArn": [deploy.state_machine_arn], "status": ["ABORTED", "TIMED_OUT", "FAILED"]}
        in_service = {"EndpointName": [self._project], "EndpointStatus": ["IN_SERVICE"]}
        patterns = {
            "OnDeploymentEnd": ("aws.states", "Step Functions Execution Status Change", ended),
            "OnInService": ("aws.sagemaker", "SageMaker Endpoint State Change", in_service),
        }
        for name, (source, kind, detail) in patterns.items():
            pattern = events.EventPattern(source=[source], detail_type=[kind], detail=detail)
            target = targets.LambdaFunction(check, dead_letter_queue=dead_letters)
            events.Rule(self, name, event_pattern=pattern, targets=[target])

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
