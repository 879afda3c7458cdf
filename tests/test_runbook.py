"""The runbook and the diagrams match the state machines."""

import re
import shutil
from pathlib import Path

from pipeline import diagram
from pipeline.__main__ import MACHINES
from pipeline.config import load
from tests.test_documents import ROOT, headings

RAISING = (
    *("lambdas/lease/*.py", "lambdas/endpoint/*.py", "lambdas/drift_window/*.py"),
    *("lambdas/trigger/listing.py", "lambdas/trigger/scoring.py", "lambdas/predict/smoke_test.py"),
)
"""The Lambdas whose exceptions become the error of an execution."""
NAMED_BY_FINISH = {"TrainingStopped", "TuningStopped", "ApprovalDeadline"}


def test_every_error_has_a_section() -> None:
    states = [definition(load(ROOT / "pipeline.toml", "prod"))["States"] for definition in MACHINES.values()]
    code = "".join(path.read_text(encoding="utf-8") for pattern in RAISING for path in ROOT.glob(pattern))
    raised = re.findall(r"^class (\w+)\((?:Exception|\w+Error)\):", code, re.M)
    errors = {*re.findall(r"'Error': '(\w+)'", str(states)), *raised}
    assert {"PackageNotApproved", "AutoscalingFailed", "LeaseHeld", "SmokeTestFailed"} < errors
    sections = headings(ROOT / "docs/runbook.md")
    assert {error.lower() for error in errors | NAMED_BY_FINISH} - sections == set()


def test_the_diagrams_are_those_of_the_definitions(tmp_path: Path) -> None:
    document, drawn = ROOT / "docs/machines.md", tmp_path / "machines.md"
    shutil.copy(document, drawn)
    settings = load(ROOT / "pipeline.toml")
    diagram.write(str(drawn), {name: definition(settings) for name, definition in MACHINES.items()})
    assert drawn.read_text(encoding="utf-8") == document.read_text(encoding="utf-8")
