"""The smoke test of a release: the golden rows through the same code as a caller's."""

import math
from typing import Any

from .api import Api
from .problem import Problem


class SmokeTestFailed(Exception):
    """A golden row was answered otherwise than pipeline.toml says; the run must not count as a success."""


def check(golden: list[dict[str, Any]], api: Api) -> dict[str, Any]:
    """Return `{"ok": true, "checked": n}` when each row has its label, or its value within the tolerance.

    Raises:
        SmokeTestFailed: names the golden row by its position, what was expected and what came, not the row's values.
    """
    for position, expected in enumerate(golden, 1):
        try:
            got = api.label([float(number) for number in expected["row"]])
        except Problem as problem:
            raise SmokeTestFailed(f"golden row {position} got no answer: {problem.kind}: {problem.detail}") from problem
        if "label" in expected:
            right, wanted = got == expected["label"], str(expected["label"])
        else:
            right = math.isclose(got, expected["value"], rel_tol=0, abs_tol=expected["tolerance"])
            wanted = f"{expected['value']} within {expected['tolerance']}"
        if not right:
            raise SmokeTestFailed(f"golden row {position}: expected {wanted}, got {got}")
    return {"ok": True, "checked": len(golden)}
