"""Release: put this run's model behind the live endpoint, believe it only when it answers, and take it back if not."""

from typing import Any

from pipeline import names
from pipeline.asl import Choice, ChoiceRule, Intrinsic, Pass, State, Task, Wait, caught, retried
from pipeline.settings import Release
from pipeline.states.champion import ENDPOINT, NONE
from pipeline.states.common import KEY, Building

POLL_SECONDS = 60
"""An update takes AWS five to eight minutes: a handful of looks, eleven history events each."""
CURRENT = "$.endpoint"
"""The endpoint's description as it is now."""
WANTED = "$.wanted"
"""What the endpoint must serve: {config, then}; `then` is `smoke`, or `restored` on the way back."""


def release(build: Building) -> list[State]:
    """CreateEndpointConfig to SmokeTest; the run goes on only when the endpoint serves this run's config."""
    wait = Wait("WaitForEndpoint", seconds=POLL_SECONDS)
    wanted = Pass("WantChallenger", parameters={"config": names.RESOURCE, "then": "smoke"}, result_path=WANTED)
    create = build.call("CreateEndpoint", "createEndpoint", {**ENDPOINT, "EndpointConfigName": names.RESOURCE})
    create.next(wait)
    has_champion = Choice("HasEndpoint")
    has_champion.add_choice(ChoiceRule.StringEquals("$.champion.config", NONE), create)
    update = _update(build, "UpdateEndpoint", names.RESOURCE, _deployment(build.settings.release))
    smoke = caught(_smoke_test(build), _way_back(build, wait))
    return [_endpoint_config(build), wanted, has_champion, update, wait, *_until_live(build, wait), smoke]


def _endpoint_config(build: Building) -> Task:
    """The SDK's EndpointConfigStep drops `parameters`, so the plain Task. The variant's name never changes."""
    size = build.settings.endpoint
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": names.RESOURCE,
        "InstanceType": size.instance_type,
        "InitialInstanceCount": size.instance_count,
        "InitialVariantWeight": 1.0,
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": size.capture_percent,
        "DestinationS3Uri": "s3://${DataBucket}/captured",
        "KmsKeyId": KEY,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    parameters = {
        "EndpointConfigName": names.RESOURCE,
        "ProductionVariants": [variant],
        "DataCaptureConfig": capture,
        "KmsKeyId": KEY,
        "Tags": [{"Key": "model-package", "Value": Intrinsic("$.package.arn")}],
    }
    return build.call("CreateEndpointConfig", "createEndpointConfig", parameters)


def _update(build: Building, state_id: str, config: Intrinsic, deployment: dict[str, Any] | None) -> Task:
    parameters = {**ENDPOINT, "EndpointConfigName": config, "RetainAllVariantProperties": True}
    if deployment is not None:
        parameters["DeploymentConfig"] = deployment
    return build.call(state_id, "updateEndpoint", parameters)


def _deployment(release: Release) -> dict[str, Any]:
    """Blue/green with the stack's alarms: any of them during a bake puts all traffic back.

    WaitIntervalInSeconds is required by the API model even where nothing is shifted in steps (DeploymentConfig).
    """
    routing: dict[str, Any] = {"Type": release.rollout.upper(), "WaitIntervalInSeconds": release.bake_seconds}
    step = {"Type": "CAPACITY_PERCENT", "Value": release.step_percent}
    steps = 0
    if release.rollout == "canary":
        routing["CanarySize"], steps = step, 1
    elif release.rollout == "linear":
        routing["LinearStepSize"], steps = step, -(-100 // release.step_percent)
    # More than all waits, at least 600 and at most 28800 (API model).
    longest = min(28_800, max(600, (steps + 2) * release.bake_seconds + 1800))
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": release.bake_seconds,
            "MaximumExecutionTimeoutInSeconds": longest,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "${ErrorAlarm}"}, {"AlarmName": "${LatencyAlarm}"}]},
    }


def _until_live(build: Building, wait: Wait) -> list[State]:
    """CheckEndpoint until it is InService on the config that is wanted, or the deadline.

    A failed or rolled back update ends InService too, with the old config and a FailureReason: it reads as success to
    whoever looks at the status alone.
    """
    check = build.call("CheckEndpoint", "describeEndpoint", ENDPOINT, result_path=CURRENT)
    description = f"States.JsonToString({CURRENT})"
    rolled_back = build.failure("RolledBack", "The endpoint went back to its previous config: {}", description)
    failed = build.failure("EndpointFailed", "The endpoint cannot serve: {}", description)
    minutes = build.settings.endpoint.deadline_minutes
    late = build.failure(
        "EndpointDeadline",
        f"Not InService {minutes} minutes after it was asked for (endpoint.deadline_minutes): {{}}",
        description,
    )
    restored = build.failure(
        "ChampionRestored", "{} The previous config serves again.", "$.error.Cause", error="SmokeTestFailed"
    )
    again = {"count": Intrinsic("States.MathAdd($.polls.count, 1)")}
    count = Pass("CountPoll", parameters=again, result_path="$.polls")
    count.next(wait)

    status = f"{CURRENT}.EndpointStatus"
    broken = [ChoiceRule.StringEquals(status, name) for name in ("Failed", "UpdateRollbackFailed", "OutOfService")]
    under_way = ChoiceRule.Not(ChoiceRule.StringEquals(status, "InService"))
    too_late = ChoiceRule.NumericGreaterThanEquals("$.polls.count", minutes * 60 // POLL_SECONDS)
    as_wanted = ChoiceRule.StringEqualsPath(f"{CURRENT}.EndpointConfigName", f"{WANTED}.config")
    live = Choice("EndpointLive")
    live.add_choice(ChoiceRule.Or(broken), failed)
    live.add_choice(ChoiceRule.And([under_way, too_late]), late)
    live.add_choice(under_way, count)
    live.add_choice(ChoiceRule.Not(as_wanted), rolled_back)
    live.add_choice(ChoiceRule.StringEquals(f"{WANTED}.then", "restored"), restored)
    return [check, live]


def _smoke_test(build: Building) -> State:
    """The golden rows through the invoke Lambda, the way that a consumer's rows go."""
    golden = [row.model_dump(exclude_none=True) for row in build.settings.endpoint.golden]
    return retried(
        Task(
            "SmokeTest",
            resource="arn:aws:states:::lambda:invoke",
            parameters={"FunctionName": "${PredictFunction}", "Payload": {"golden": golden}},
            timeout_seconds=60,
            result_path="$.smoke",
            result_selector={"checked": Intrinsic("$.Payload.checked")},
        )
    )


def _way_back(build: Building, wait: Wait) -> State:
    """Back to the champion's config; a first model that fails has none before it, so the endpoint goes."""
    wanted = Pass(
        "WantChampion",
        parameters={"config": Intrinsic("$.champion.config"), "then": "restored"},
        result_path=WANTED,
    )
    restore = _update(build, "RestoreChampion", Intrinsic("$.champion.config"), None)
    wanted.next(restore)
    restore.next(wait)
    delete = build.call("DeleteEndpoint", "deleteEndpoint", ENDPOINT)
    removed = build.failure("EndpointDeleted", "{} The endpoint was deleted.", "$.error.Cause", error="SmokeTestFailed")
    delete.next(removed)
    way_back = Choice("HasWayBack")
    way_back.add_choice(ChoiceRule.StringEquals("$.champion.config", NONE), delete)
    way_back.default_choice(wanted)
    return way_back
