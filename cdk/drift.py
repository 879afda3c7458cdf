"""The drift machine, the Lambda that collects its window, and its schedule."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.functions import function
from cdk.permissions import allow, granted, invoke, pass_role, run_jobs
from cdk.state_machine import Parts, state_machine
from pipeline import drift


def drift_machine(scope: Construct, parts: Parts, dead_letters: sqs.IQueue) -> sfn.StateMachine:
    """Return the state machine that `pipeline.drift` defines, on a schedule; its jobs have the role of all jobs."""
    scope, data, project, settings = Construct(scope, "Drift"), parts.data, parts.project, parts.settings.drift
    files = data.bucket.arn_for_objects
    window = function(
        scope,
        "Window",
        "drift_window",
        environment={
            "DATA_BUCKET": data.bucket.bucket_name,
            "ENDPOINT_NAME": project,
            "WINDOW_HOURS": str(settings.window_hours),
            "GROUND_TRUTH_DAYS": str(settings.ground_truth_days),
        },
        timeout=Duration.minutes(4),
        allowed=[
            *granted(scope, "drift_window", project),
            data.list_objects("data-capture/*", "ground-truth/*"),
            allow("s3:GetObject", files("ground-truth/*")),
            allow("s3:PutObject", files("runs/*/window/*")),
            data.use_key("s3"),
        ],
    )
    parts.jobs.allow(allow("s3:GetObject", files("data-capture/*")))
    allowed = [
        *run_jobs(scope, project, "Processing"),
        pass_role(parts.jobs.role),
        allow("s3:GetObject", files("runs/*/drift/summary.json")),
        invoke(window),
        invoke(*parts.finish.functions.values()),
        data.use_key("s3", write=False),
        *granted(scope, "drift", project),
    ]
    ports = {"DriftWindowFunction": window.function_arn}
    machine = state_machine(scope, "drift", drift.definition, parts, ports=ports, allowed=allowed)
    if settings.schedule:
        schedule = events.Schedule.expression(settings.schedule)
        target = targets.SfnStateMachine(machine, dead_letter_queue=dead_letters)
        events.Rule(scope, "OnSchedule", schedule=schedule, targets=[target])
    return machine
