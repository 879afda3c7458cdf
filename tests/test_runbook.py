"""The runbook has a word for each way in which the state machines can end badly."""

from pathlib import Path

from pipeline import diagram, drift, workflow
from pipeline.config import load

ROOT = Path(__file__).parent.parent


def test_every_failure_of_the_definitions_is_in_the_runbook() -> None:
    dev, prod = (load(ROOT / "pipeline.toml", stage) for stage in ("dev", "prod"))
    states = {
        **workflow.definition(dev)["States"],
        **workflow.definition(prod)["States"],
        **drift.definition(dev)["States"],
    }
    ours = {name for name, state in states.items() if state["Type"] == "Pass" and state.get("ResultPath") == "$.error"}
    ours -= {"ReadCause"}  # it only words what another has found
    runbook = (ROOT / "docs/runbook.md").read_text()
    assert {name for name in ours if name not in runbook} == set()


def test_the_architecture_shows_the_diagram_of_the_drift_check() -> None:
    shown = (ROOT / "docs/architecture.md").read_text()
    assert f"```mermaid\n{diagram.mermaid(drift.definition(load(ROOT / 'pipeline.toml')))}\n```" in shown
