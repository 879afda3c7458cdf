"""Finish: every ending goes through lambdas/finish, which frees the lease and sends the notification."""

from typing import Any

from pipeline.asl import Fail, Intrinsic, State, Succeed, Task, caught, retried, retry, with_fields
from pipeline.resource_names import EXECUTION_ARN


def fail(machine: str) -> State:
    """FinishFailed and Failed: the execution fails with the error and the sentence that the notification has."""
    failed = with_fields(Fail("Failed"), error_path="$.error.Error", cause_path="$.error.Cause")
    step = _call("FinishFailed", machine, failed=True, result_path="$.error")
    with_fields(step, result_selector={"Error.$": "$.Payload.error", "Cause.$": "$.Payload.why"}).next(failed)
    return caught(step, failed, "$.finish_error")


def finish(machine: str, finish_failed: State) -> list[State]:
    """Finish and Done: the execution's output is the document that the notification has."""
    step = _call("Finish", machine, failed=False, output_path="$.Payload")
    return [caught(step, finish_failed.next_step), Succeed("Done")]


def _call(state_id: str, machine: str, *, failed: bool, **fields: Any) -> Task:
    payload = {"machine": machine, "failed": failed, "execution": EXECUTION_ARN, "state": Intrinsic("$")}
    fields = {"parameters": {"FunctionName": "${FinishFunction}", "Payload": payload}, "timeout_seconds": 60} | fields
    step = retried(Task(state_id, resource="arn:aws:states:::lambda:invoke", **fields))
    step.add_retry(retry("States.ALL", seconds=2, attempts=3))
    return step
