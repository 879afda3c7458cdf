"""Release: put this run's model behind the live endpoint, believe it only when it answers, and take it back if not."""

from typing import Any

from pipeline import names
from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, Pass, Retry, State, Task, Wait, retried
from pipeline.settings import Release
from pipeline.states.champion import ENDPOINT, NONE
from pipeline.states.common import KEY, Building
from pipeline.states.registry import decide
from pipeline.states.scaling import VARIANT, patient
from pipeline.states.tell import sentence

POLL_SECONDS = 60
"""An update takes AWS five to eight minutes: a handful of looks, eleven history events each."""
CURRENT = "$.endpoint"
"""The endpoint's description as it is now."""
WANTED = "$.wanted"
"""What the endpoint must serve: {config, then, polls}; `then` is `smoke`, or `restored` on the way back."""
SMOKE = "$.smoke"
"""What the smoke test said, kept apart from what may go wrong on the way back."""


def release(build: Building) -> list[State]:
    """CreateEndpointConfig to SmokeTest; the run goes on only when the endpoint serves this run's config."""
    wait = Wait("WaitForEndpoint", seconds=POLL_SECONDS)
    wanted = _want("WantChallenger", names.RESOURCE, "smoke")
    create = build.call("CreateEndpoint", "createEndpoint", {**ENDPOINT, "EndpointConfigName": names.RESOURCE})
    create.next(wait)
    has_champion = Choice("HasEndpoint")
    has_champion.add_choice(ChoiceRule.StringEquals("$.champion.config", NONE), create)
    update = _update(build, "UpdateEndpoint", names.RESOURCE, _deployment(build.settings.release))
    back, not_restored = _disown(build), _not_restored(build)
    smoke = _smoke_test(build)
    way_back = sentence("Smoke", SMOKE, then=_way_back(build, wait, back, not_restored))
    smoke.add_catch(Catch(error_equals=["States.ALL"], result_path=SMOKE, next_step=way_back))
    return [
        _endpoint_config(build),
        wanted,
        has_champion,
        update,
        wait,
        *_until_live(build, wait, back, not_restored),
        smoke,
    ]


def _want(state_id: str, config: Intrinsic, then: str) -> Pass:
    return Pass(state_id, parameters={"config": config, "then": then, "polls": 0}, result_path=WANTED)


def _endpoint_config(build: Building) -> Task:
    """The SDK's EndpointConfigStep drops `parameters`, so the plain Task. The variant's name never changes."""
    size = build.settings.endpoint
    variant = {
        "VariantName": VARIANT,
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
    return patient(build, build.call(state_id, "updateEndpoint", parameters))


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


def _until_live(build: Building, wait: Wait, back: State, not_restored: State) -> list[State]:
    """CheckEndpoint until it is InService on the config that is wanted, or the deadline.

    A failed or rolled back update ends InService too, with the old config and a FailureReason: it reads as success to
    whoever looks at the status alone.
    """
    now = f"{CURRENT}.now"
    check = build.call("CheckEndpoint", "describeEndpoint", ENDPOINT, result_path=CURRENT)
    # AWS leaves the reason out when there is none, and States Language has no default for a path.
    merged = {"now": Intrinsic(f"States.JsonMerge($.cause, {CURRENT}, false)")}
    read = Pass("ReadReason", parameters=merged, result_path=CURRENT)
    reason = f"{now}.FailureReason"
    failed = build.failure("EndpointFailed", "The endpoint cannot serve: {}", reason, then=back)
    minutes = build.settings.endpoint.deadline_minutes
    late = build.failure(
        "EndpointDeadline",
        f"Not InService {minutes} minutes after it was asked for (endpoint.deadline_minutes): {{}} {{}}",
        f"{now}.EndpointStatus",
        reason,
    )
    undone = build.failure("RestoreUndone", "{}: {}", f"{now}.EndpointStatus", reason, then=not_restored)
    restored = build.failure(
        "ChampionRestored",
        "{} The previous config serves again.",
        f"{SMOKE}.Cause",
        error="SmokeTestFailed",
        then=_rolled_back("PutBack", back),
    )
    again = {key: Intrinsic(f"{WANTED}.{key}") for key in ("config", "then")}
    polls = Intrinsic(f"States.MathAdd({WANTED}.polls, 1)")
    count = Pass("CountPoll", parameters={**again, "polls": polls}, result_path=WANTED)
    count.next(wait)

    status = f"{now}.EndpointStatus"
    broken = [ChoiceRule.StringEquals(status, name) for name in ("Failed", "UpdateRollbackFailed", "OutOfService")]
    under_way = ChoiceRule.Not(ChoiceRule.StringEquals(status, "InService"))
    too_late = ChoiceRule.NumericGreaterThanEquals(f"{WANTED}.polls", minutes * 60 // POLL_SECONDS)
    as_wanted = ChoiceRule.StringEqualsPath(f"{now}.EndpointConfigName", f"{WANTED}.config")
    restoring = ChoiceRule.StringEquals(f"{WANTED}.then", "restored")
    another = ChoiceRule.And([ChoiceRule.Not(under_way), ChoiceRule.Not(as_wanted)])
    in_vain = ChoiceRule.Or([*broken, ChoiceRule.And([under_way, too_late]), another])
    live = Choice("EndpointLive")
    live.add_choice(ChoiceRule.And([restoring, in_vain]), undone)
    live.add_choice(ChoiceRule.Or(broken), failed)
    live.add_choice(ChoiceRule.And([under_way, too_late]), late)
    live.add_choice(under_way, count)
    live.add_choice(ChoiceRule.Not(as_wanted), _find_alarms(build, reason, back))
    live.add_choice(restoring, restored)
    return [check, read, live]


def _find_alarms(build: Building, reason: str, back: State) -> State:
    """FindAlarms and RolledBack: how AWS words the reason of a rollback is not documented, so the alarms are asked."""
    find = build.call(
        "FindAlarms",
        "describeAlarms",
        {"AlarmNames": ["${ErrorAlarm}", "${LatencyAlarm}"], "StateValue": "ALARM"},
        service="cloudwatch",
        result_path="$.alarms",
        result_selector={"names": Intrinsic("$.MetricAlarms[*].AlarmName")},
    )
    rolled_back = build.failure(
        "RolledBack",
        "The endpoint went back to its previous config; alarms in ALARM: {}. {}",
        "States.JsonToString($.alarms.names)",
        reason,
        then=_rolled_back("TakenBack", back),
    )
    find.catches[0] = Catch(error_equals=["States.ALL"], result_path="$.unknown", next_step=rolled_back)
    find.next(rolled_back)
    return find


def _rolled_back(state_id: str, then: State) -> Pass:
    state = Pass(state_id, result="rolled back", result_path="$.outcome")
    state.next(then)
    return state


def _disown(build: Building) -> State:
    """DisownPackage: what did not stand its release is Rejected, so that no rollback brings it back.

    Not what was asked for by its package: that one has served before, and may even be what serves now.
    """
    disown = decide(build, "DisownPackage", "Rejected", "Taken back from the endpoint by the run that released it")
    disown.catches[0] = Catch(error_equals=["States.ALL"], result_path="$.kept", next_step=build.on_error)
    disown.next(build.on_error)
    own = Choice("OwnPackage")
    own.add_choice(ChoiceRule.StringEquals("$.request.model_package", ""), disown)
    own.default_choice(build.on_error)
    return own


def _not_restored(build: Building) -> State:
    return build.failure(
        "NotRestored",
        "{} And the way back failed: the endpoint still serves this model (python -m ops rollback). {}",
        f"{SMOKE}.Cause",
        "$.error.Cause",
        error="SmokeTestFailed",
    )


def _smoke_test(build: Building) -> State:
    """The golden rows through the invoke Lambda, the way that a consumer's rows go."""
    golden = [row.model_dump(exclude_none=True) for row in build.settings.endpoint.golden]
    smoke = retried(
        Task(
            "SmokeTest",
            resource="arn:aws:states:::lambda:invoke",
            parameters={"FunctionName": "${PredictFunction}", "Payload": {"golden": golden}},
            timeout_seconds=60,
            result_path=SMOKE,
            result_selector={"checked": Intrinsic("$.Payload.checked")},
        )
    )
    # One refused request is no reason to take a model back.
    smoke.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=2, backoff_rate=2.0))
    return smoke


def _way_back(build: Building, wait: Wait, back: State, not_restored: State) -> State:
    """Back to the champion's config; a first model that fails has none before it, so the endpoint goes."""
    wanted = _want("WantChampion", Intrinsic("$.champion.config"), "restored")
    restore = _update(build, "RestoreChampion", Intrinsic("$.champion.config"), None)
    wanted.next(restore)
    restore.next(wait)
    delete = build.call("DeleteEndpoint", "deleteEndpoint", ENDPOINT)
    removed = build.failure(
        "EndpointDeleted", "{} The endpoint was deleted.", f"{SMOKE}.Cause", error="SmokeTestFailed", then=back
    )
    delete.next(removed)
    for step in (restore, delete):
        step.catches[0].next_step = not_restored
    way_back = Choice("HasWayBack")
    way_back.add_choice(ChoiceRule.StringEquals("$.champion.config", NONE), delete)
    way_back.default_choice(wanted)
    return way_back
