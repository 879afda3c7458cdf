"""The smoke test of a deployment: score the golden rows with the code that scores a caller's rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .api import Api
from .problem import Problem


class SmokeTestFailed(Exception):
    """A golden row got another answer than pipeline.toml expects. Do not retry: a wrong model serves meanwhile."""


class SmokeTestUnanswered(Exception):
    """A golden row got a problem instead of an answer. The state machine retries it."""


def check(golden: Sequence[Mapping[str, Any]], api: Api) -> dict[str, int]:
    """Return `{"ok": true, "checked": n}` when each of the n rows has its label, or its value within the tolerance.

    Raises:
        SmokeTestFailed, SmokeTestUnanswered: the message has the row's position and both answers, not its values.
    """
    for position, expected in enumerate(golden, 1):
        try:
            got, _ = api.label([float(number) for number in expected["row"]])
        except Problem as problem:
            message = f"golden row {position} got no answer: {problem.kind}: {problem.detail}"
            raise SmokeTestUnanswered(message) from problem
        if "label" in expected:
            right, wanted = got == expected["label"], expected["label"]
        else:
            right = math.isclose(float(got), expected["value"], rel_tol=0, abs_tol=expected["tolerance"])
            wanted = f"{expected['value']} within {expected['tolerance']}"
        if not right:
            raise SmokeTestFailed(f"golden row {position}: expected {wanted}, got {got}")
    return {"ok": True, "checked": len(golden)}
