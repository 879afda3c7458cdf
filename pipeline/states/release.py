"""Release: put this run's model behind the live endpoint, and believe it only when it answers."""

from typing import Any

from pipeline import names
from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, Pass, State, Task, Wait
from pipeline.states.common import KEY, Building

POLL_SECONDS = 30
IDLE, CURRENT = "$.before", "$.endpoint"
"""Where the endpoint's description is kept: as it was found, and as it is now."""


def release(build: Building) -> list[State]:
    """CreateEndpointConfig to SmokeTest; the run goes on only when the endpoint serves this run's config."""
    wait = Wait("WaitForEndpoint", seconds=POLL_SECONDS)
    return [
        _endpoint_config(build),
        *_create_or_update(build, wait),
        wait,
        *_until_live(build, wait),
        _smoke_test(build),
    ]


def _call(build: Building, state_id: str, action: str, parameters: dict[str, Any], **fields: Any) -> Task:
    """A control plane call through the aws-sdk integration, which takes every parameter that the API has."""
    resource = f"arn:aws:states:::aws-sdk:sagemaker:{action}"
    fields = {"timeout_seconds": 60, "result_path": None} | fields
    step = Task(state_id, resource=resource, parameters=parameters, **fields)
    build.guard(step)
    return step


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
    parameters = {"EndpointConfigName": names.RESOURCE, "ProductionVariants": [variant], "KmsKeyId": KEY}
    return _call(build, "CreateEndpointConfig", "createEndpointConfig", parameters)


def _create_or_update(build: Building, wait: Wait) -> list[Task | Choice]:
    """DescribeEndpoint, then CreateEndpoint if there is none, or UpdateEndpoint once it is idle.

    Only the message "Could not find" means that there is none. An endpoint whose creation Failed allows nothing but
    DeleteEndpoint (SageMaker API reference, EndpointStatus), so it is deleted and looked for again.
    """
    name = {"EndpointName": "${EndpointName}"}
    target = {**name, "EndpointConfigName": names.RESOURCE}
    create = _call(build, "CreateEndpoint", "createEndpoint", target)
    create.next(wait)
    update = _call(build, "UpdateEndpoint", "updateEndpoint", {**target, "RetainAllVariantProperties": True})

    describe = Task(
        "DescribeEndpoint",
        resource="arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        parameters=name,
        timeout_seconds=60,
        result_path=IDLE,
        result_selector={"status": Intrinsic("$.EndpointStatus"), "config": Intrinsic("$.EndpointConfigName")},
    )
    pause = Wait("WaitUntilIdle", seconds=POLL_SECONDS)
    pause.next(describe)
    unknown = Choice("EndpointMissing")
    unknown.add_choice(ChoiceRule.StringMatches("$.error.Cause", "*Could not find*"), create)
    unknown.add_choice(ChoiceRule.StringMatches("$.error.Cause", "*Rate exceeded*"), pause)
    unknown.default_choice(build.on_error)
    describe.add_catch(Catch(error_equals=["States.ALL"], result_path="$.error", next_step=unknown))

    delete = _call(build, "DeleteFailedEndpoint", "deleteEndpoint", name)
    delete.next(pause)
    idle = Choice("EndpointIdle")
    idle.add_choice(ChoiceRule.StringEquals(f"{IDLE}.status", "Failed"), delete)
    busy = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
    idle.add_choice(ChoiceRule.Or([ChoiceRule.StringEquals(f"{IDLE}.status", status) for status in busy]), pause)
    return [describe, idle, update]


def _until_live(build: Building, wait: Wait) -> list[Task | Choice]:
    """CheckEndpoint until it is InService on the config that was asked for, or the deadline.

    A failed or rolled back update ends InService too, with the old config and a FailureReason: it reads as success to
    whoever looks at the status alone.
    """
    check = _call(build, "CheckEndpoint", "describeEndpoint", {"EndpointName": "${EndpointName}"}, result_path=CURRENT)
    description = f"States.JsonToString({CURRENT})"
    rolled_back = build.failure("RolledBack", "The endpoint went back to its previous config: {}", description)
    failed = build.failure("EndpointFailed", "The endpoint cannot serve: {}", description)
    late = build.failure(
        "EndpointDeadline",
        f"Not InService {build.settings.endpoint.deadline_minutes} minutes after it was asked for"
        " (endpoint.deadline_minutes): {}",
        description,
    )
    count = Pass(
        "CountPoll", parameters={"count": Intrinsic("States.MathAdd($.polls.count, 1)")}, result_path="$.polls"
    )
    count.next(wait)

    def status(*names_: str) -> Any:
        return ChoiceRule.Or([ChoiceRule.StringEquals(f"{CURRENT}.EndpointStatus", name) for name in names_])

    live = Choice("EndpointLive")
    live.add_choice(status("Failed", "UpdateRollbackFailed", "OutOfService"), failed)
    in_service = ChoiceRule.StringEquals(f"{CURRENT}.EndpointStatus", "InService")
    polls = build.settings.endpoint.deadline_minutes * 60 // POLL_SECONDS
    too_late = ChoiceRule.NumericGreaterThanEquals("$.polls.count", polls)
    live.add_choice(ChoiceRule.And([ChoiceRule.Not(in_service), too_late]), late)
    live.add_choice(ChoiceRule.Not(in_service), count)
    asked_for = ChoiceRule.StringEqualsPath(f"{CURRENT}.EndpointConfigName", names.RESOURCE_PATH)
    live.add_choice(ChoiceRule.Not(asked_for), rolled_back)
    return [check, live]


def _smoke_test(build: Building) -> Task:
    """The golden rows through the invoke Lambda, the way that a consumer's rows go."""
    golden = [row.model_dump(exclude_none=True) for row in build.settings.endpoint.golden]
    step = Task(
        "SmokeTest",
        resource="arn:aws:states:::lambda:invoke",
        parameters={"FunctionName": "${PredictFunction}", "Payload": {"golden": golden}},
        timeout_seconds=60,
        result_path="$.smoke",
        result_selector={"checked": Intrinsic("$.Payload.checked")},
    )
    build.guard(step)
    return step
