"""Reading a rendered definition in tests: filling its ports and placeholders, and reaching every task."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.diagram import all_states

PORTS: dict[str, str] = json.loads(Path(__file__).with_name("ports.json").read_text("utf-8"))
"""A value of the right form for each port of a definition."""
HASH = "d41d8cd98f00b204e9800998ecf8427e"


def filled(value: Any) -> Any:
    """A definition with every port filled, as the stack does it."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda port: PORTS[port[1]], value)
    return value


def resolved(value: Any) -> Any:
    """Parameters with every placeholder replaced by a value of the right form."""
    if isinstance(value, dict):
        filled_in = {key: _sample(item) if key.endswith(".$") else resolved(item) for key, item in value.items()}
        return {key.removesuffix(".$"): item for key, item in filled_in.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def _sample(expression: str) -> str | int:
    if expression == "$.champion.instances":
        return 1
    template = re.match(r"States\.Format\('([^']*)'", expression)
    if template is None:
        return HASH
    filler = iter(["0" if "RetryCount" in argument else HASH for argument in expression.split(",")[1:]])
    return re.sub(r"\{\}", lambda _: next(filler), template[1])


def tasks(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Task state by name, those inside Parallel states too."""
    return ((name, state) for name, state in all_states(definition) if state["Type"] == "Task")
