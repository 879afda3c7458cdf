"""Injected faults, for tests: each has the same effect as on AWS.

Asked for by POST with the header `X-Amz-Target: SageMaker.LocalFaults`. The body is a list of
`{"on": …, "fault": …, "name": "*", "times": 1}`, in place of all that was asked for before; without a body nothing
changes. The answer is what is left and what has struck. `on` is an operation (CreateTrainingJob, UpdateEndpoint,
InvokeEndpoint) and `fault` then the error's code; or `on` is ProcessingJob, TrainingJob, SpotTraining, TransformJob or
Endpoint and `fault` one of KINDS. `name` is a shell pattern for the job, the endpoint or its config, or any text member
of the operation's request.
"""

import json
import re
import sys
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from local_aws.sagemaker.api.errors import JobError, ServiceError, ValidationException

TARGET = "LocalFaults"
CAPACITY, HANG, NEVER_READY, INTERRUPTED = "CapacityError", "Hang", "NeverReady", "Interrupted"
WRONG_ANSWERS, SLOW = "WrongAnswers", "AnswersSlowly"
SLOW_SECONDS = 5.0
SPOT = "SpotTraining"
"""Of a training job on spare capacity: it is taken back, or there is none until the time to wait is over."""
KINDS = {
    **dict.fromkeys(("ProcessingJob", "TrainingJob", "TransformJob"), (CAPACITY, "Exit", "Kill", HANG, "NoOutput")),
    SPOT: (CAPACITY, INTERRUPTED),
    "Endpoint": (CAPACITY, NEVER_READY, "Answers500", "DiesAtRequest", WRONG_ANSWERS, SLOW),
}
MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "ResourceLimitExceeded": "The account-level service limit was reached (injected).",
}
STATUSES = {"InternalFailure": 500, "ServiceUnavailable": 503, "ModelNotReadyException": 429}  # all others are 400
PROGRAM = Path(__file__).with_name("faulty.py")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass
class Fault:
    """One entry of the list; `times` counts down."""

    on: str
    fault: str
    name: str = "*"
    times: int = 1


class Injected(ServiceError):
    """A refusal on order."""

    def __init__(self, code: str) -> None:
        super().__init__(MESSAGES.get(code, f"{code} (injected)"))
        self.code = code
        self.status = STATUSES.get(code, 400)


class Faults:
    """The faults that are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._struck: list[dict[str, str]] = []

    def answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request. Raises ValidationException for a body that is no list of faults."""
        if body:
            self.put(_parse(body))
        with self._lock:
            document = {"faults": [asdict(fault) for fault in self._waiting], "struck": self._struck}
            return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def put(self, faults: list[Fault]) -> None:
        """Ask for these alone, and forget what has struck."""
        with self._lock:
            self._waiting, self._struck = faults, []

    def strike(self, on: str, *names: str) -> str | None:
        """The fault that hits something of one of these names now; its count goes down, and what it hit is noted."""
        with self._lock:
            for fault in self._waiting:
                found = next((name for name in names if fnmatchcase(name, fault.name)), None)
                if fault.on == on and found is not None:
                    fault.times -= 1
                    self._waiting = [left for left in self._waiting if left.times > 0]
                    self._struck.append({"on": on, "fault": fault.fault, "name": found})
                    return fault.fault
        return None

    def refuse(self, operation: str, request: dict[str, Any]) -> None:
        """Raise Injected when this call is to be refused."""
        texts = [value for value in request.values() if isinstance(value, str)]
        if code := self.strike(operation, *texts or [""]):
            raise Injected(code)


def check_capacity(fault: str | None) -> None:
    """Raise the JobError of a job or a fleet that got no instances."""
    if fault == CAPACITY:
        raise JobError(
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
            "instance type."
        )


def command(fault: str | None, port: int = 0) -> list[str]:
    """What runs in place of a container's program; empty when nothing does."""
    replaced = fault and fault not in (WRONG_ANSWERS, SLOW)
    return [sys.executable, "-I", str(PROGRAM), str(fault), str(port)] if replaced else []


def wrong_answer(body: bytes) -> bytes:
    """An answer of a model that answers wrongly: each number x of it is 1 - x."""
    return _NUMBER.sub(lambda number: json.dumps(1 - json.loads(number[0])).encode(), body)


def _parse(body: bytes) -> list[Fault]:
    try:
        faults = [Fault(**entry) for entry in json.loads(body)]
    except (ValueError, TypeError) as error:
        raise ValidationException(f"{TARGET} takes a list of {{on, fault, name, times}}: {error}") from error
    for fault in faults:
        known = KINDS.get(fault.on, (fault.fault,))
        if fault.fault not in known:
            raise ValidationException(f"{fault.fault!r} is no fault of {fault.on}; known are {', '.join(known)}.")
    return faults
