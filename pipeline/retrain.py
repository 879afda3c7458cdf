"""The retrain machine, top to bottom as its diagram reads: from uploaded data to a deployed model."""

from typing import Any

from pipeline.asl import Definition, Intrinsic, State, format_, rendered
from pipeline.config import Settings
from pipeline.states.building import EXECUTION_ARN, HASH, Building
from pipeline.states.endpoint import find_champion
from pipeline.states.evaluate import evaluate
from pipeline.states.executions import DEADLINE_HOURS, acquire_lease, fail, finish
from pipeline.states.model_registry import approval, create_model, register, trained
from pipeline.states.preprocess import preprocess
from pipeline.states.train import train

DEFAULTS: dict[str, Any] = {
    "reason": "manual",
    "force": False,
    "data": {"fingerprint": "none", "objects": 0, "bytes": 0, "newest": ""},
    "settings": "none",
    "commit": "none",
}
"""The request of an execution that a person or delivery started, with any input or none: ListData fills in the data."""


def definition(settings: Settings, partition: str = "aws") -> Definition:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    An execution ends Succeeded as `accepted` (the endpoint serves its model), `rejected` or `superseded` (the endpoint
    was not touched), or Failed with the cause that a task gave. Its deployment restores the champion first.
    """
    failed = fail("retrain")
    build = Building(settings, on_error=failed)
    finished = finish("retrain", failed)
    rejected = register(build, "Rejected")
    rejected.next(finished)
    waits = settings.release.approval_hours if settings.asks else 0
    training = train(build)
    # Training jobs one after another may take longer than all else.
    tuning = training[0].fields["timeout_seconds"] if settings.tuning.jobs else 0
    seconds = (DEADLINE_HOURS + waits) * 3600 + tuning
    states = [
        acquire_lease(build, DEFAULTS, seconds=seconds, superseded=finished),
        find_champion(build),
        *preprocess(build, superseded=finished, then=training[0]),
        *training,
        create_model(build, trained(build)),
        *evaluate(build, rejected=rejected),
        *approval(build, rejected=finished),
        _deploy(build),
        finished,
    ]
    return rendered(states, f"Retrains {build.project}", seconds, partition)


def _deploy(build: Building) -> State:
    """Deploy: the deploy machine puts the package behind the endpoint while this execution owns the lease."""
    deployment = {
        "package": Intrinsic("$.package.arn"),
        "reason": Intrinsic("$.request.reason"),
        "parent": EXECUTION_ARN,
        # Step Functions links the two executions in its console by this.
        "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": EXECUTION_ARN,
    }
    name = format_("{}-{}", HASH, "$$.State.RetryCount")
    return build.task(
        "Deploy",
        "states:startExecution.sync:2",
        {"StateMachineArn": "${DeployMachine}", "Name": name, "Input": deployment},
        timeout_seconds=DEADLINE_HOURS * 3600,
        result_path="$.deployment",
        select={"model.$": "$.Output.model", "warnings.$": "$.Output.warnings"},
    )
