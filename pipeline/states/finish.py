"""Finish: every ending goes through lambdas/finish, which frees the lease and sends the notification."""

from typing import Any

from pipeline import resource_names
from pipeline.asl import Catch, Fail, Intrinsic, Retry, State, Succeed, Task, retried


def fail(machine: str) -> State:
    """FinishFailed and Failed: the execution fails with the error and the sentence that the notification has."""
    step = _call(
        "FinishFailed",
        {"machine": machine, "failed": True},
        result_path="$.error",
        result_selector={"Error": Intrinsic("$.Payload.error"), "Cause": Intrinsic("$.Payload.why")},
    )
    failed = Fail("Failed", error_path="$.error.Error", cause_path="$.error.Cause")
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.finish_error", next_step=failed))
    step.next(failed)
    return step


def finish(machine: str, finish_failed: State) -> list[State]:
    """Finish and Done: the execution's output is the document that the notification has."""
    step = _call("Finish", {"machine": machine, "failed": False}, output_path="$.Payload")
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.error", next_step=finish_failed.next_step))
    return [step, Succeed("Done")]


def _call(state_id: str, payload: dict[str, Any], **fields: Any) -> Task:
    payload |= {"execution": resource_names.EXECUTION_ARN, "state": Intrinsic("$")}
    step = Task(
        state_id,
        resource="arn:aws:states:::lambda:invoke",
        parameters={"FunctionName": "${FinishFunction}", "Payload": payload},
        timeout_seconds=60,
        **fields,
    )
    retried(step)
    step.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=3, backoff_rate=2.0))
    return step
