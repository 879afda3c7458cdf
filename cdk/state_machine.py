"""How each state machine is deployed: from its definition, with its ports filled in, and permissions of its own."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.api.prediction_api import PredictionApi
from cdk.data import DataStore
from cdk.executions import Finish, Lease
from cdk.functions import function, log_group
from cdk.jobs import Jobs
from cdk.live_endpoint import LiveEndpoint
from cdk.permissions import allow, granted, invoke, pass_role, run_jobs, tune
from pipeline.__main__ import MACHINES
from pipeline.config import Settings
from pipeline.score import KIND

LISTING_TIMEOUT = Duration.seconds(30)
"""Enough for some 250 pages of 1,000 object versions."""


@dataclass(frozen=True)
class Parts:
    """The parts of the stack that the state machines use."""

    settings: Settings
    data: DataStore
    topic: sns.Topic
    serving: PredictionApi
    jobs: Jobs
    lease: Lease
    live: LiveEndpoint
    finish: Finish

    @property
    def project(self) -> str:
        """The project's name."""
        return self.settings.project.name

    @property
    def ports(self) -> dict[str, str]:
        """The values of the ports that these parts fill in."""
        return {
            **self.jobs.ports,
            **{port: function.function_arn for port, function in self.finish.functions.items()},
            "CleanupFunction": self.live.cleanup.function_arn,
            "EndpointFunction": self.live.function.function_arn,
            "EndpointName": self.project,
            "ErrorAlarm": self.live.error_alarm.alarm_name,
            "LatencyAlarm": self.live.latency_alarm.alarm_name,
            "LeaseFunction": self.lease.function.function_arn,
            "PredictFunction": self.serving.function.function_arn,
        }


def state_machine(
    scope: Construct, name: str, parts: Parts, ports: Mapping[str, str], allowed: Iterable[iam.PolicyStatement]
) -> sfn.StateMachine:
    """Return the machine `{project}-{name}`, logged and traced; `ports` are its own, besides those of `parts`."""
    partition = RegionInfo.get(Stack.of(scope).region).partition or "aws"
    text = json.dumps(MACHINES[name](parts.settings, partition), indent=1)
    values = {**parts.ports, **ports}
    # A resource policy of limited size lists the log groups of other names (Step Functions Developer Guide, "Logging").
    group = log_group(scope, "Log", f"/aws/vendedlogs/states/{parts.project}-{name}")
    machine = sfn.StateMachine(
        scope,
        "Machine",
        state_machine_name=f"{parts.project}-{name}",
        definition_body=sfn.DefinitionBody.from_string(text),
        definition_substitutions={port: value for port, value in values.items() if f"${{{port}}}" in text},
        # The log has each event without the data: inputs, outputs and causes are in the execution's history.
        logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ALL, include_execution_data=False),
        tracing_enabled=True,
    )
    for statement in allowed:
        machine.add_to_role_policy(statement)
    return machine


def deploy_machine(scope: Construct, parts: Parts) -> sfn.StateMachine:
    """Return the state machine that `pipeline.deploy` defines; its role alone may change the endpoint."""
    scope, live, data = Construct(scope, "Deploy"), parts.live, parts.data
    allowed = [
        *granted(scope, "change_endpoint", parts.project),
        *(granted(scope, "autoscale", parts.project) if parts.settings.endpoint.autoscaled else []),
        *granted(scope, "deploy", parts.project),
        pass_role(parts.jobs.role),
        invoke(parts.lease.function, live.function, live.cleanup, parts.serving.function),
        invoke(*parts.finish.functions.values()),
        allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/evaluation/smoke.json")),
        # Without it, S3 answers 403 for an object that is not there; a condition on the prefix would not hold then.
        allow("s3:ListBucket", data.bucket.bucket_arn),
        data.use_key("s3", write=False),
        # The endpoint's volumes: CreateEndpointConfig uses the key in its caller's name.
        allow("kms:DescribeKey", data.key.key_arn),
        data.encrypt_volumes(),
    ]
    return state_machine(scope, "deploy", parts, {}, allowed)


def retrain_machine(
    scope: Construct, parts: Parts, registry: sagemaker.CfnModelPackageGroup, deployment: sfn.StateMachine
) -> sfn.StateMachine:
    """Return the state machine that `pipeline.retrain` defines; `deployment` is the machine that it runs."""
    scope, data, project, settings = Construct(scope, "Retrain"), parts.data, parts.project, parts.settings
    processing = ["preprocess", "evaluate", *(["merge"] if settings.processing.instance_count > 1 else [])]
    trained = ["train", *(["ondemand"] if settings.training.spot else [])]
    training = {} if settings.tuning.jobs else {"Training": trained}
    cached = ["preprocessed/*.json", "runs/*/baseline/*", *(["runs/*/encoder/*"] if settings.data.encoded else [])]
    written = ["runs/*/listing/*", *(cached if settings.stack.cache_days else [])]
    listing = function(
        scope,
        "ListData",
        "trigger",
        handler="listing.handle",
        environment={
            "DATA_BUCKET": data.bucket.bucket_name,
            "DATA_PREFIX": settings.data.prefix,
            "DATA_MARKER": settings.trigger.marker,
            "VARIANT": settings.signature.variant,
            "PREPROCESSING": parts.jobs.preprocessing,
            "CACHE_DAYS": str(settings.stack.cache_days),
        },
        timeout=LISTING_TIMEOUT,
        allowed=[
            data.list_versions(settings.data.prefix),
            allow("s3:GetObject s3:PutObject", *map(data.bucket.arn_for_objects, written)),
            allow("s3:GetObject", data.bucket.arn_for_objects("signatures/*")),
            # An earlier run's rows are listed. Without it, S3 answers 403 for an object that is not there; a condition
            # on the prefix would not hold then.
            allow("s3:ListBucket", data.bucket.bucket_arn),
            data.use_key("s3"),
        ],
    )
    allowed = [
        *run_jobs(scope, project, Processing=processing, **training, Transform=["score", "champion"]),
        *(tune(scope, project) if settings.tuning.jobs else []),
        *granted(scope, "retrain", project),
        *(granted(scope, "approval", project) if settings.asks else []),
        pass_role(parts.jobs.role),
        allow("states:StartExecution", deployment.state_machine_arn),
        *granted(scope, "nested", project),
        invoke(parts.lease.function, parts.live.function, listing),
        invoke(*parts.finish.functions.values()),
        allow(
            "s3:GetObject",
            *map(data.bucket.arn_for_objects, ("runs/*/evaluation/evaluation.json", "rows/*/champion/scoring.json")),
        ),
        data.use_key("s3", write=False),
    ]
    ports = {
        "DeployMachine": deployment.state_machine_arn,
        "ListDataFunction": listing.function_arn,
        "ModelPackageGroup": registry.ref,
    }
    return state_machine(scope, "retrain", parts, ports, allowed)


def score_machine(scope: Construct, parts: Parts, dead_letters: sqs.IQueue) -> sfn.StateMachine:
    """Return the state machine that `pipeline.score` defines, started by each upload under score/ or on a schedule."""
    scope, data, project, settings = Construct(scope, "Score"), parts.data, parts.project, parts.settings.score
    files = data.bucket.arn_for_objects
    listing = function(
        scope,
        "ListFiles",
        "trigger",
        handler="scoring.handle",
        environment={
            "DATA_BUCKET": data.bucket.bucket_name,
            "FORMAT": settings.format,
            "CONTRIBUTIONS": str(settings.contributions),
        },
        timeout=LISTING_TIMEOUT,
        allowed=[
            data.list_objects("score/*", "scored/*"),
            allow("s3:GetObject", files("signatures/*")),
            allow("s3:PutObject", files("runs/*/request/*")),
            data.use_key("s3"),
        ],
    )
    parts.jobs.allow(allow("s3:PutObject", files("scored/*")))
    allowed = [
        *run_jobs(scope, project, Processing=["prepare", "join"], Transform=[KIND]),
        *granted(scope, "score", project),
        *(granted(scope, "score_contributions", project) if settings.contributions else []),
        pass_role(parts.jobs.role),
        allow("s3:GetObject", files("runs/*/counts/counts.json")),
        invoke(parts.live.function, listing),
        invoke(*parts.finish.functions.values()),
        data.use_key("s3", write=False),
    ]
    machine = state_machine(scope, "score", parts, {"ListFilesFunction": listing.function_arn}, allowed)
    if settings.schedule:
        when: dict[str, Any] = {"schedule": events.Schedule.expression(settings.schedule)}
        given = {"reason": "schedule"}
    else:
        uploads = {"bucket": {"name": [data.bucket.bucket_name]}, "object": {"key": [{"prefix": "score/"}]}}
        pattern = events.EventPattern(source=["aws.s3"], detail_type=["Object Created"], detail=uploads)
        when = {"event_pattern": pattern}
        given = {"reason": "upload", "key": events.EventField.from_path("$.detail.object.key")}
    message = events.RuleTargetInput.from_object(given)
    target = targets.SfnStateMachine(machine, input=message, dead_letter_queue=dead_letters)
    events.Rule(scope, "OnSchedule" if settings.schedule else "OnUpload", targets=[target], **when)
    return machine


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
            allow("s3:GetObject", files("ground-truth/*"), files("signatures/*")),
            allow("s3:PutObject", files("runs/*/window/*")),
            data.use_key("s3"),
        ],
    )
    if not parts.settings.endpoint.serverless:  # SageMaker captures none of its requests
        parts.jobs.allow(allow("s3:GetObject", files("data-capture/*")))
    allowed = [
        *run_jobs(scope, project, Processing=["drift"]),
        pass_role(parts.jobs.role),
        allow("s3:GetObject", files("runs/*/drift/summary.json")),
        invoke(window),
        invoke(*parts.finish.functions.values()),
        data.use_key("s3", write=False),
        *granted(scope, "drift", project),
    ]
    ports = {"DriftWindowFunction": window.function_arn}
    machine = state_machine(scope, "drift", parts, ports, allowed)
    if settings.schedule:
        schedule = events.Schedule.expression(settings.schedule)
        target = targets.SfnStateMachine(machine, dead_letter_queue=dead_letters)
        events.Rule(scope, "OnSchedule", schedule=schedule, targets=[target])
    return machine
