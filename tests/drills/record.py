"""A plugin of pytest: keeps what each drill has promised and what happened, a file per drill in build/drills.

A drill is a test with the marker `drill(kind, what, promise)`. In `what` and `promise`, `{id}` is the test's parameter.
What happened is what the test records as "happened"; without it, what was promised.
"""

import hashlib
import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.drills.table import MEASURED, Drill


def pytest_configure() -> None:
    """The folder for what this run measures."""
    MEASURED.mkdir(parents=True, exist_ok=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Keep the outcome of a drill: that of its last part that did not pass, or of the test itself."""
    report = yield
    marker = item.get_closest_marker("drill")
    if marker and (report.when == "call" or not report.passed):
        parameter = getattr(item, "callspec", None)
        kind, what, promise = (text.format(id=parameter.id if parameter else "") for text in marker.args)
        told = dict(item.user_properties).get("happened", promise)
        drill = Drill(kind, what, promise, str(told), report.outcome)
        name = hashlib.md5(item.nodeid.encode(), usedforsecurity=False).hexdigest()
        (MEASURED / f"{name}.json").write_text(json.dumps(drill.__dict__))
    return report
