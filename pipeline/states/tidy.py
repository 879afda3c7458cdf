"""Tidy: delete the endpoint configs and models of runs long past; never one in use."""

from pipeline.asl import Catch, State, Task
from pipeline.states.common import Building


def tidy(build: Building, *, then: State) -> list[State]:
    """Tidy, by a small Lambda: States Language cannot compare dates. A model that is live stays live if it fails."""
    step = Task(
        "Tidy",
        resource="arn:aws:states:::lambda:invoke",
        parameters={"FunctionName": "${TidyFunction}", "Payload": {"keep": build.settings.release.keep}},
        timeout_seconds=300,
        result_path=None,
    )
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.untidy", next_step=then))
    return [step, then]
