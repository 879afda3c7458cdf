"""The state machines as Mermaid diagrams and as counts, made from the definitions themselves."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.states.building import Definition

SHAPES = {"Choice": ("{", "}"), "Parallel": ("[[", "]]"), "Succeed": ("([", "])"), "Fail": ("([", "])")}
FAILURE = "FinishFailed"
"""The Catch of every task goes there, so the diagram leaves these transitions out."""
State = dict[str, Any]


def mermaid(definition: Definition) -> str:
    """A flowchart with the main path straight down: choices as diamonds, ends rounded, branches inside their state."""
    return "\n".join(["flowchart TD", *_lines(definition, "    ")])


def _lines(machine: Definition, indent: str) -> Iterator[str]:
    states: dict[str, State] = machine["States"]
    for name, state in states.items():
        left, right = SHAPES.get(state["Type"], ("[", "]"))
        if branches := state.get("Branches"):
            yield f"{indent}subgraph {name}"
            for branch in branches:
                yield from _lines(branch, f"{indent}    ")
            yield f"{indent}end"
        else:
            yield f"{indent}{name}{left}{name}{right}"
    main = main_path(machine)
    for name, state in states.items():
        for target in targets(state):
            arrow = "-->" if (name, target) in main else "-.->"
            yield f"{indent}{name} {arrow} {target}"


def main_path(machine: Definition) -> set[tuple[str, str]]:
    """The transitions from the first state on, each by Next, or by a Choice's Default."""
    found, name = set(), machine["StartAt"]
    while (then := _then(machine["States"][name])) and (name, then) not in found:
        found.add((name, then))
        name = then
    return found


def _then(state: State) -> str | None:
    return state.get("Default") or state.get("Next")


def targets(state: State) -> Iterator[str]:
    """Where a state can go, each once: its Next, default, choices, and catches other than the common one."""
    ways = [_then(state)]
    ways += [choice["Next"] for choice in state.get("Choices", [])]
    ways += [catch["Next"] for catch in state.get("Catch", []) if catch["Next"] not in (FAILURE, "Failed")]
    yield from dict.fromkeys(way for way in ways if way is not None)


def all_states(machine: Definition) -> Iterator[tuple[str, State]]:
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
        counted = ", ".join(f"{kind} {count}" for kind, count in types.most_common())
        plumbing = types["Pass"] + types["Choice"]
        lines.append(f"{name}: {types.total()} states ({counted}); Pass and Choice together {plumbing}")
    return "\n".join(lines)


def write(file: str, machines: dict[str, Definition]) -> None:
    """Write each machine's diagram into the Markdown file, after its marker `<!-- diagram: NAME -->`."""
    text = Path(file).read_text(encoding="utf-8")
    for name, machine in machines.items():
        marker = f"<!-- diagram: {name} -->\n"
        before, found, rest = text.partition(marker)
        rest = re.sub(r"\A```mermaid\n.*?\n```\n", "", rest, flags=re.S)
        text = f"{before}{found}```mermaid\n{mermaid(machine)}\n```\n{rest}" if found else text
    Path(file).write_text(text, encoding="utf-8")
