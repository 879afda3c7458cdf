"""The state machines as Mermaid diagrams and as counts, made from the definitions themselves."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.asl import Definition

SHAPES = {"Choice": ("{", "}"), "Parallel": ("[[", "]]"), "Fail": ("([", "])")}
HIDDEN = ("FinishFailed", "Failed")
"""The Catch of every task goes to one of these, so the diagram leaves these transitions out."""


def mermaid(definition: Definition) -> str:
    """A flowchart with the main path straight down: choices as diamonds, ends rounded, branches inside their state."""
    return "\n".join(["flowchart TD", *_lines(definition, "    ")])


def _lines(machine: Definition, indent: str) -> Iterator[str]:
    for name, state in machine["States"].items():
        left, right = SHAPES.get("Fail" if state.get("End") else state["Type"], ("[", "]"))
        branches = state.get("Branches", [])
        yield f"{indent}subgraph {name}" if branches else f"{indent}{name}{left}{name}{right}"
        for branch in branches:
            yield from _lines(branch, f"{indent}    ")
        if branches:
            yield f"{indent}end"
    main = set(_main_path(machine))
    for name, state in machine["States"].items():
        catches = [catch for catch in state.get("Catch", []) if catch["Next"] not in HIDDEN]
        ways = [_then(state), *(way["Next"] for way in [*state.get("Choices", []), *catches])]
        for target in dict.fromkeys(way for way in ways if way is not None):
            yield f"{indent}{name} {'-->' if (name, target) in main else '-.->'} {target}"


def _main_path(machine: Definition) -> Iterator[tuple[str, str]]:
    """The transitions from the first state on, each by Next, or by a Choice's Default."""
    name = machine["StartAt"]
    while then := _then(machine["States"][name]):
        yield name, then
        name = then


def _then(state: dict[str, Any]) -> str | None:
    return state.get("Default") or state.get("Next")


def all_states(machine: Definition) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each state by name, those of Parallel branches included."""
    for name, state in machine["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from all_states(branch)


def stats(machines: dict[str, Definition]) -> str:
    """A line per machine: its number of states, and of each type."""
    lines = []
    for name, machine in machines.items():
        types = Counter(state["Type"] for _, state in all_states(machine))
        states = f"{types.total()} states ({', '.join(f'{kind} {count}' for kind, count in types.most_common())})"
        lines.append(f"{name}: {states}; Pass and Choice together {types['Pass'] + types['Choice']}")
    return "\n".join(lines)


def write(file: str, machines: dict[str, Definition]) -> None:
    """Write each machine's diagram into the Markdown file, after its marker `<!-- diagram: NAME -->`."""
    text = Path(file).read_text(encoding="utf-8")
    for name, machine in machines.items():
        diagram = f"<!-- diagram: {name} -->\n```mermaid\n{mermaid(machine)}\n```\n"
        old = rf"<!-- diagram: {name} -->\n(```mermaid\n.*?\n```\n)?"
        text = re.sub(old, diagram, text, count=1, flags=re.S)
    Path(file).write_text(text, encoding="utf-8")
