"""The state machine as a Mermaid diagram, drawn from the definition itself."""

from collections.abc import Iterator
from typing import Any

SHAPES = {"Choice": ("{", "}"), "Wait": ("([", "])"), "Succeed": ("(((", ")))"), "Fail": ("(((", ")))")}

COMMON = ("FreeLeaseOfFailed", "TellFailure")
"""Where the failures of every task go."""


def mermaid(definition: dict[str, Any]) -> str:
    """A flowchart: choices as diamonds, waits rounded, ends as circles; the ways of failed tasks are left out."""
    states: dict[str, Any] = definition["States"]
    lines = ["flowchart TD"]
    for name, state in states.items():
        left, right = SHAPES.get(state["Type"], ("[", "]"))
        lines.append(f"    {name}{left}{name}{right}")
    lines += [f"    {name} --> {target}" for name, state in states.items() for target in _targets(state)]
    return "\n".join(lines)


def _targets(state: dict[str, Any]) -> Iterator[str]:
    """Where a state can go, each once: its Next, choices, default, and catches other than the common one."""
    ways = [state.get("Next"), state.get("Default")]
    ways += [choice["Next"] for choice in state.get("Choices", [])]
    ways += [catch["Next"] for catch in state.get("Catch", []) if catch["Next"] not in COMMON]
    yield from dict.fromkeys(way for way in ways if way is not None)
