"""Champion: what the live endpoint serves before this run, if anything."""

from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, Pass, State, Task, Wait
from pipeline.states.common import Building

POLL_SECONDS = 30
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
NONE = "none"
"""The champion's name when nothing is live; the registry takes no empty text."""
ENDPOINT = {"EndpointName": "${EndpointName}"}


def find_champion(build: Building, *, then: State) -> list[State]:
    """FindEndpoint and FindChampion, then on: `$.champion` = {model, config}, both `none` when nothing is live.

    Only the message "Could not find" means that there is no endpoint. An endpoint that is being changed is waited for;
    one whose creation Failed serves nothing and allows nothing but DeleteEndpoint (API reference, EndpointStatus).
    """
    find = Task(
        "FindEndpoint",
        resource="arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        parameters=ENDPOINT,
        timeout_seconds=60,
        result_path="$.before",
        result_selector={"status": Intrinsic("$.EndpointStatus"), "config": Intrinsic("$.EndpointConfigName")},
    )
    pause = Wait("WaitUntilIdle", seconds=POLL_SECONDS)
    pause.next(find)
    no_champion = Pass("NoChampion", result={"model": NONE, "config": NONE}, result_path="$.champion")
    no_champion.next(then)
    refused = Choice("EndpointMissing")
    refused.add_choice(ChoiceRule.StringMatches("$.error.Cause", "*Could not find*"), no_champion)
    refused.add_choice(ChoiceRule.StringMatches("$.error.Cause", "*Rate exceeded*"), pause)
    refused.default_choice(build.on_error)
    find.add_catch(Catch(error_equals=["States.ALL"], result_path="$.error", next_step=refused))

    delete = build.call("DeleteFailedEndpoint", "deleteEndpoint", ENDPOINT)
    delete.next(pause)
    idle = Choice("EndpointIdle")
    idle.add_choice(ChoiceRule.StringEquals("$.before.status", "Failed"), delete)
    idle.add_choice(ChoiceRule.Or([ChoiceRule.StringEquals("$.before.status", status) for status in BUSY]), pause)
    champion = build.call(
        "FindChampion",
        "describeEndpointConfig",
        {"EndpointConfigName": Intrinsic("$.before.config")},
        result_path="$.champion",
        result_selector={
            "config": Intrinsic("$.EndpointConfigName"),
            "model": Intrinsic("$.ProductionVariants[0].ModelName"),
        },
    )
    return [find, idle, champion, then]
