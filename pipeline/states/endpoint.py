"""Endpoint: put a model behind the live endpoint, believe it only when it answers, and restore the champion if not."""

import math
from typing import Any

from pipeline.asl import Choice, ChoiceRule, Intrinsic, Retry, State, Task, caught, choice, format_, retry
from pipeline.config import Settings
from pipeline.states.building import EXECUTION_ARN, KEY, Building, resource, volume_key
from pipeline.states.executions import DEADLINE_HOURS

POLL_SECONDS = 60
"""An update takes AWS five to eight minutes."""
CHAMPION_POLL_SECONDS = 30
ROLLBACK_SECONDS = 900
"""Allowed to SageMaker to put the champion back after an update that took too long."""
NONE = "none"
"""The champion's name when nothing is live; the registry takes no empty text."""
NO_CHAMPION = ChoiceRule.StringEquals("$.champion.config", NONE)
ENDPOINT = {"EndpointName": "${EndpointName}"}
ALARMS = ["${ErrorAlarm}", "${LatencyAlarm}"]
OLD_VARIANT = "AllTraffic"
"""The variant of models whose packages name no signature: versions before 0.3 trained them."""
METADATA = "$.package.described.CustomerMetadataProperties"
NEW, LIVE = f"{METADATA}.variant", "$.champion.variant"
SAME_VARIANT = ChoiceRule.StringEqualsPath(LIVE, NEW)
COOLDOWN_SECONDS = 300
"""SageMaker's default in both directions, and the time that a new instance takes to answer."""
BUSY = "SageMaker.SageMakerException"
"""The error while an endpoint is being scaled, among others: UpdateEndpoint has no error of its own for it."""
SCALING_TRANSIENT = [
    f"ApplicationAutoScaling.{name}Exception"
    for name in ("ApplicationAutoScaling", "ConcurrentUpdate", "InternalService", "Validation")
]
"""The first is throttling's, too; the last comes while the new service-linked role is not visible yet."""
CHANGING = "EndpointChanging"
"""The error of lambdas/endpoint while the endpoint is being changed."""


def find_champion(build: Building, *, package: bool = False, **asked: Intrinsic) -> Task:
    """FindChampion: `$.champion` = {model, config, status, variant, instances} once the endpoint is not being changed.

    Names are "none" when nothing is live; status is then "none", or "Failed" after a failed creation. `asked` may be
    `replaces`, the config that must be live: the state fails with another one. `package` also asks for the ARN of the
    live model package, "none" when there is none; the endpoint may then be of another kind than the settings'.
    """
    attempts = DEADLINE_HOURS * 3600 // CHAMPION_POLL_SECONDS
    changing = retry(CHANGING, seconds=CHAMPION_POLL_SECONDS, attempts=attempts, rate=1.0)
    size = build.settings.endpoint
    request: dict[str, Any] = {"wait_for": "champion", "instances": size.instance_count, **asked}
    results = ["model", "config", "status", "variant", "instances"]
    if package:
        request["package"] = True
        results.append("package")
    else:
        request["serverless"] = size.serverless is not None
    return build.function(
        "FindChampion", "EndpointFunction", request, retries=[changing], result_path="$.champion", results=results
    )


def delete_failed(build: Building, again: State) -> Choice:
    """HasFailedEndpoint: an endpoint whose creation failed serves nothing and allows only DeleteEndpoint."""
    delete = build.call("DeleteFailedEndpoint", "deleteEndpoint", ENDPOINT)
    delete.next(again)
    return choice("HasFailedEndpoint", ChoiceRule.StringEquals("$.champion.status", "Failed"), delete)


def create_endpoint_config(build: Building) -> Task:
    """CreateEndpointConfig, as a plain Task: the SDK's EndpointConfigStep drops `parameters`.

    The variant is named after the model's signature, by which the API reads its answers. An autoscaled one starts with
    as many instances as the champion has: only those of a variant with the same name would be retained. A serverless
    endpoint captures no data.
    """
    size = build.settings.endpoint
    name = resource(build.project)
    capacity: dict[str, Any] = {
        "InstanceType": size.instance_type,
        "InitialInstanceCount": Intrinsic("$.champion.instances") if size.autoscaled else size.instance_count,
    }
    if size.serverless:
        limits = {"MemorySizeInMB": size.serverless.memory_mb, "MaxConcurrency": size.serverless.max_concurrency}
        capacity = {"ServerlessConfig": limits}
    variant = {"VariantName": Intrinsic(NEW), "ModelName": name, **capacity, "InitialVariantWeight": 1.0}
    data_capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": size.capture_percent,
        "DestinationS3Uri": "s3://${DataBucket}/data-capture",
        "KmsKeyId": KEY,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    request = {
        "EndpointConfigName": name,
        "ProductionVariants": [variant],
        **({} if size.serverless else {"DataCaptureConfig": data_capture}),
        **({"KmsKeyId": KEY} if volume_key(size.instance_type) else {}),
        "Tags": [
            {"Key": "execution", "Value": EXECUTION_ARN},
            {"Key": "model-package", "Value": Intrinsic("$.package.arn")},
            {"Key": "model-signature", "Value": Intrinsic(f"{METADATA}.signature")},
        ],
    }
    return build.call("CreateEndpointConfig", "createEndpointConfig", request)


def create_or_update(build: Building, *, taken_back: State) -> list[State]:
    """HasEndpoint to WaitForEndpoint, which goes to `taken_back` when the endpoint does not serve the new config.

    A scalable target is a variant by its name. SageMaker refuses to remove a variant that is one, so DeregisterChampion
    comes before ReplaceChampion, the update to a model of another signature.
    """
    wanted = resource(build.project)
    wait = _wait(build, "WaitForEndpoint", wanted, "$.endpoint")
    caught(wait, taken_back, errors=["RolledBack", "EndpointFailed"])
    create = build.call("CreateEndpoint", "createEndpoint", {**ENDPOINT, "EndpointConfigName": wanted})
    create.next(wait)
    first, update = choice("HasEndpoint", NO_CHAMPION, create), _update(build, "UpdateEndpoint", wanted, retain=True)
    if not build.settings.endpoint.autoscaled:
        return [first, update, wait]
    update.next(wait)
    replace = _update(build, "ReplaceChampion", wanted, on_error=taken_back)
    missing = "ApplicationAutoScaling.ObjectNotFoundException"
    deregister = _scaling(build, "DeregisterChampion", "deregisterScalableTarget", variant=LIVE, failed=build.on_error)
    caught(deregister, replace, "$.no_target", [missing])
    return [first, choice("IsSameVariant", SAME_VARIANT, update), deregister, replace, wait]


def smoke_test(build: Building, *, taken_back: State) -> Task:
    """SmokeTest: hold-out rows of the package's run, and golden rows, through the predict Lambda.

    A wrong answer is not retried: a wrong model serves.
    """
    smoke = Intrinsic("$.package.smoke.document")
    step = build.function(
        "SmokeTest",
        "PredictFunction",
        {**golden_rows(build.settings), "smoke": smoke, "variant": Intrinsic(NEW)},
        retries=[Retry(error_equals=["SmokeTestFailed"], max_attempts=0)],
        on_error=_way_back(build, taken_back),
        error_path="$.smoke_test",
        result_path="$.smoke_test",
        results=["checked"],
    )
    step.add_retry(retry("States.ALL", seconds=2, attempts=2))
    return step


def golden_rows(settings: Settings) -> dict[str, Any]:
    """The part of a smoke test that is the settings': `golden` and `golden_share`."""
    endpoint, names = settings.endpoint, settings.data.features
    # By name: the package may be of a model that takes them in another order.
    rows = [
        row if isinstance(row := golden.row, dict) else dict(zip(names, row, strict=True)) for golden in endpoint.golden
    ]
    expected = [golden.model_dump(exclude={"row"}, exclude_none=True) for golden in endpoint.golden]
    golden = [{"row": row, **wanted} for row, wanted in zip(rows, expected, strict=True)]
    return {"golden": golden, "golden_share": endpoint.golden_share}


def autoscaling(build: Building) -> list[State]:
    """RegisterAutoscaling and PutAutoscalingPolicy, if the settings have it; their failure leaves the model live.

    UpdateEndpoint retains the instance count that autoscaling left. Registering again changes the limits and nothing
    else.
    """
    if not build.settings.endpoint.autoscaled:
        return []
    cause = format_("The new model is live, but autoscaling was not set: {}", "$.error.Cause")
    failed = build.failure("AutoscalingFailed", cause)
    return _scaled(build, "RegisterAutoscaling", "PutAutoscalingPolicy", variant=NEW, failed=failed)


def autoscaling_of_champion(build: Building, then: State) -> State:
    """RegisterChampion and PutChampionPolicy: the champion, which stayed or is back, is a scalable target again."""
    if not build.settings.endpoint.autoscaled:
        return then
    names = "RegisterChampion", "PutChampionPolicy"
    register, put = _scaled(build, *names, variant=LIVE, failed=then, path="$.autoscaling_error")
    register.next(put)
    put.next(then)
    return choice("HasScaledChampion", NO_CHAMPION, then, register)


def _scaled(
    build: Building, register: str, put: str, *, variant: str, failed: State, path: str = "$.error"
) -> list[State]:
    endpoint = build.settings.endpoint
    tracking = {
        "TargetValue": endpoint.calls_per_minute,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": COOLDOWN_SECONDS,
        "ScaleInCooldown": COOLDOWN_SECONDS,
    }
    policy = {
        "PolicyName": "calls-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    limits = {"MinCapacity": endpoint.instance_count, "MaxCapacity": endpoint.max_instances}
    return [
        _scaling(build, register, "registerScalableTarget", variant=variant, failed=failed, path=path, **limits),
        _scaling(build, put, "putScalingPolicy", variant=variant, failed=failed, path=path, **policy),
    ]


def _scaling(
    build: Building,
    state_id: str,
    action: str,
    *,
    variant: str,
    failed: State,
    path: str = "$.error",
    **more: Any,
) -> Task:
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": format_("endpoint/${EndpointName}/variant/{}", variant),
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        **more,
    }
    retries = [retry(SCALING_TRANSIENT, seconds=5, attempts=5)]
    fields: dict[str, Any] = {"on_error": failed, "error_path": path, "retries": retries}
    return build.call(state_id, action, target, service="applicationautoscaling", **fields)


def _way_back(build: Building, taken_back: State) -> Choice:
    """HasChampion: back to the champion's config; without a champion, the endpoint is deleted."""
    config = Intrinsic("$.champion.config")
    restore = _update(build, "RestoreChampion", config, retain=True, deployment=False)
    wait = _wait(build, "WaitForChampion", config, "$.restored")
    delete = build.call("DeleteEndpoint", "deleteEndpoint", ENDPOINT, result_path="$.deleted")
    restore.next(wait).next(taken_back)
    delete.next(taken_back)
    if not build.settings.endpoint.autoscaled:
        return choice("HasChampion", NO_CHAMPION, delete, restore)
    put_back = _update(build, "PutChampionBack", config, deployment=False)
    put_back.next(wait)
    return choice("HasChampion", NO_CHAMPION, delete, choice("IsChampionsVariant", SAME_VARIANT, restore, put_back))


def _wait(build: Building, state_id: str, config: Intrinsic, result_path: str) -> Task:
    attempts = math.ceil((_longest(build) + ROLLBACK_SECONDS) / POLL_SECONDS)
    request = {"wait_for": "config", "config": config, "alarms": ALARMS}
    changing, results = retry(CHANGING, seconds=POLL_SECONDS, attempts=attempts, rate=1.0), ["config"]
    step = build.function(
        state_id, "EndpointFunction", request, retries=[changing], result_path=result_path, results=results
    )
    # Asked twice: the first answer may precede the update that was just accepted. Soon, as the alarm may clear.
    step.add_retry(retry("RolledBack", seconds=5, attempts=1, rate=1.0))
    step.add_retry(Retry(error_equals=["EndpointFailed"], max_attempts=0))
    step.add_retry(retry("States.ALL", seconds=5, attempts=5))
    return step


def _update(
    build: Building,
    state_id: str,
    config: Intrinsic,
    *,
    retain: bool = False,
    deployment: bool = True,
    on_error: State | None = None,
) -> Task:
    request: dict[str, Any] = {**ENDPOINT, "EndpointConfigName": config}
    # Deployment guardrails are for instances (Developer Guide, "Deployment guardrails").
    if deployment and not build.settings.endpoint.serverless:
        request["DeploymentConfig"] = _deployment(build)
    if not build.settings.endpoint.autoscaled:
        return build.call(state_id, "updateEndpoint", request)
    if retain:
        # Autoscaling owns the instance count; all else is the new config's.
        excluded = [{"VariantPropertyType": kind} for kind in ("DesiredWeight", "DataCaptureConfig")]
        request |= {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}
    retries = [retry(BUSY, seconds=60, attempts=10, rate=1.0)]
    return build.call(state_id, "updateEndpoint", request, retries=retries, on_error=on_error)


def _longest(build: Building) -> int:
    """Return the seconds that an update may take: its bakes and all else, within the API model's limits."""
    return max(600, build.settings.endpoint.deadline_minutes * 60 + build.settings.release.bakes_seconds)


def _deployment(build: Building) -> dict[str, Any]:
    """Blue/green with the stack's alarms: any of them during a bake puts all traffic back.

    WaitIntervalInSeconds is required by the API model even where traffic is not shifted in steps (DeploymentConfig).
    """
    release = build.settings.release
    routing: dict[str, Any] = {"Type": release.rollout.upper(), "WaitIntervalInSeconds": release.bake_seconds}
    if size := {"canary": "CanarySize", "linear": "LinearStepSize"}.get(release.rollout):
        routing[size] = {"Type": "CAPACITY_PERCENT", "Value": release.step_percent}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": release.bake_seconds,
            "MaximumExecutionTimeoutInSeconds": _longest(build),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in ALARMS]},
    }
