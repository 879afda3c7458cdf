"""The templates as last reviewed: `make snapshots` writes them again, and the diff shows the changes."""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load
from tests.cdk.conftest import synthesise
from tests.conftest import ROOT

FOLDER = Path(__file__).parent / "snapshots"


def template(stage: str, out: Path) -> str:
    """Return the stage's template without the values that differ between commits."""
    document: dict[str, Any] = json.loads(synthesise(load(ROOT / "pipeline.toml", stage), out).read_text())
    for resource in document["Resources"].values():
        resource.pop("Metadata", None)
        if resource["Type"] == "AWS::StepFunctions::StateMachine":  # its states have their own tests
            resource["Properties"]["DefinitionString"] = "..."
        variables = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        variables.update({name: "..." for name in ("COMMIT", "SETTINGS_HASH") if name in variables})
    text = re.sub(r"[0-9a-f]{64}", "0" * 64, json.dumps(document))
    text = re.sub(r"(ApiDeployment\w{8})[0-9a-f]{32}", r"\1", text)
    return json.dumps(json.loads(text, object_hook=in_order), indent=1, sort_keys=True) + "\n"


def in_order(part: dict[str, Any]) -> dict[str, Any]:
    """Sort a statement's resources: CDK orders them by the hashes that were removed."""
    if isinstance(part.get("Resource"), list):
        part["Resource"].sort(key=json.dumps)
    return part


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_template_is_the_one_that_was_reviewed(stage: str, tmp_path: Path) -> None:
    found, path = template(stage, tmp_path), FOLDER / f"{stage}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(found)
    kept = path.read_text()
    changes = "\n".join(difflib.unified_diff(kept.splitlines(), found.splitlines(), "reviewed", "now", "", "", 2, ""))
    assert not changes, f"{changes}\nIf that is meant: make snapshots, and review the diff"
