"""The drift machine, the Lambda that collects its window, and its schedule."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.finish import Finish
from cdk.functions import function, package
from cdk.jobs import Jobs
from cdk.state_machine import state_machine
from pipeline import drift
from pipeline.config import Settings


class Drift(Construct):
    """The state machine that `pipeline.drift` defines, on a schedule; its jobs have the role of all jobs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        jobs: Jobs,
        finish: Finish,
        dead_letters: sqs.IQueue,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack, project = Stack.of(self), settings.project.name
        window = function(
            self,
            "Window",
            code=package("drift_window"),
            handler="drift_window.handler.handle",
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "ENDPOINT_NAME": endpoint_name,
                "WINDOW_HOURS": str(settings.drift.window_hours),
                "GROUND_TRUTH_DAYS": str(settings.drift.ground_truth_days),
            },
            timeout=Duration.minutes(4),
            allowed=_collect(stack, project, data, endpoint_name),
        )
        jobs.allow(permissions.allow("s3:GetObject", data.bucket.arn_for_objects("data-capture/*")))
        self.machine = state_machine(
            self,
            "drift",
            settings=settings,
            definition=drift.definition,
            ports={**jobs.ports, **finish.ports, "DriftWindowFunction": window.function_arn},
            allowed=[
                *permissions.run_jobs(stack, project, ["Processing"]),
                permissions.pass_role(jobs.role),
                permissions.allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/drift/summary.json")),
                permissions.invoke(window),
                finish.invoke(),
                data.use_key("s3"),
                # PutMetricData names no resource, so its namespace is the limit (Service Authorization Reference).
                iam.PolicyStatement(
                    actions=["cloudwatch:PutMetricData"],
                    resources=["*"],
                    conditions={"StringEquals": {"cloudwatch:namespace": f"{project}/drift"}},
                ),
            ],
        )
        if settings.drift.schedule:
            schedule = events.Schedule.expression(settings.drift.schedule)
            target = targets.SfnStateMachine(self.machine, dead_letter_queue=dead_letters)
            events.Rule(self, "OnSchedule", schedule=schedule, targets=[target])


def _collect(stack: Stack, project: str, data: DataStore, endpoint: str) -> list[iam.PolicyStatement]:
    """Describe the live model, list the captured requests, read the ground truth, and write the window's folder."""
    return [
        *permissions.describe_endpoint(stack, project, endpoint),
        permissions.allow("sagemaker:DescribeModel", permissions.arn(stack, "sagemaker", "model", f"{project}-*")),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[data.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": ["data-capture/*", "ground-truth/*"]}},
        ),
        permissions.allow("s3:GetObject", data.bucket.arn_for_objects("ground-truth/*")),
        permissions.allow("s3:PutObject", data.bucket.arn_for_objects("runs/*/window/*")),
        data.use_key("s3"),
    ]
