"""The runbook has a section for each error that the state machines and their Lambdas raise."""

import json
import re

from pipeline import deploy, drift, retrain
from pipeline.config import load
from tests.test_documents import ROOT, headings

RAISING = ("lambdas/lease/*.py", "lambdas/endpoint/*.py", "lambdas/drift_window/*.py", "lambdas/predict/smoke.py")
"""The Lambdas whose exceptions become the error of an execution."""


def test_every_error_of_a_state_machine_has_a_section() -> None:
    errors: set[str] = set()
    for stage in ("dev", "prod"):
        for machine in (retrain, deploy, drift):
            text = json.dumps(machine.definition(load(ROOT / "pipeline.toml", stage)))
            lists = "".join(re.findall(r'"ErrorEquals": \[(.*?)\]', text))
            errors |= {*re.findall(r'"Error": "(\w+)"', text), *re.findall(r'"(\w+)"', lists)}
    assert {error.lower() for error in errors} - headings(ROOT / "docs/runbook.md") == set()


def test_every_exception_of_a_lambda_has_a_section() -> None:
    code = "".join(path.read_text(encoding="utf-8") for pattern in RAISING for path in ROOT.glob(pattern))
    raised = set(re.findall(r"^class (\w+)\((?:Exception|\w+Error)\):", code, re.M))
    assert {name.lower() for name in raised} - headings(ROOT / "docs/runbook.md") == set()
