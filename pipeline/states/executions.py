"""Executions: one at a time owns the lease, an item in DynamoDB (lambdas/lease), and each ends by lambdas/finish."""

import math
from typing import Any

from pipeline.asl import Fail, Intrinsic, State, Task, caught, retried, retry, with_fields
from pipeline.states.building import EXECUTION_ARN, Building

DEADLINE_HOURS = 24
"""No execution outlives this, the wait for an approval aside; Step Functions' own limit is a year."""
EVENTS_PER_ATTEMPT, MOST_EVENTS = 5, 25_000
"""History events of one refused attempt, and what an execution may have (Step Functions quotas)."""
SHORTEST_WAIT_SECONDS = 30


def acquire_lease(build: Building, defaults: dict[str, Any], *, seconds: int, superseded: State | None = None) -> Task:
    """AcquireLease: the state becomes {"request": the input over `defaults`} once the execution owns the lease.

    `seconds` is the machine's deadline, with which the lease expires. An execution may wait for the lease as long as it
    may run, so the longer that is, the fewer attempts: its history must not overflow.
    """
    interval = max(SHORTEST_WAIT_SECONDS, math.ceil(seconds * EVENTS_PER_ATTEMPT / (MOST_EVENTS - 1_000)))
    given = Intrinsic("$$.Execution.Input")
    payload = {"execution": EXECUTION_ARN, "input": given, "defaults": defaults, "seconds": seconds}
    held = retry("LeaseHeld", seconds=interval, attempts=math.ceil(seconds / interval), rate=1.0)
    step = build.function("AcquireLease", "LeaseFunction", payload, retries=[held], output_path="$.Payload")
    return caught(step, superseded, errors=["Superseded"]) if superseded else step


def fail(machine: str) -> State:
    """FinishFailed and Failed: the execution fails with the error and the sentence that the notification has."""
    failed = with_fields(Fail("Failed"), error_path="$.error.Error", cause_path="$.error.Cause")
    step = _call("FinishFailed", machine, failed=True, result_path="$.error")
    with_fields(step, result_selector={"Error.$": "$.Payload.error", "Cause.$": "$.Payload.why"}).next(failed)
    return caught(step, failed, "$.finish_error")


def finish(machine: str, finish_failed: State) -> State:
    """Finish: the execution's output is the document that the notification has."""
    step = _call("Finish", machine, failed=False, output_path="$.Payload")
    return caught(step, finish_failed.next_step)


def _call(state_id: str, machine: str, *, failed: bool, **fields: Any) -> Task:
    payload = {"machine": machine, "failed": failed, "execution": EXECUTION_ARN, "state": Intrinsic("$")}
    fields = {"parameters": {"FunctionName": "${FinishFunction}", "Payload": payload}, "timeout_seconds": 60} | fields
    step = retried(Task(state_id, resource="arn:aws:states:::lambda:invoke", **fields))
    step.add_retry(retry("States.ALL", seconds=2, attempts=3))
    return step
