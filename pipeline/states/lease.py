"""Lease: one execution at a time may touch the endpoint.

The lease is an item in DynamoDB, owned by an execution. lambdas/lease takes it; here its refusal is retried.
"""

import math
from typing import Any

from pipeline.asl import Intrinsic, State, Task, caught, retry
from pipeline.resource_names import EXECUTION_ARN
from pipeline.states.building import Building

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
