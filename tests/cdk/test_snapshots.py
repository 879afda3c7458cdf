"""The templates as they were last reviewed: `make snapshots` writes them anew, and the diff shows what changes."""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from cdk.app import build
from pipeline.config import load

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(__file__).parent / "snapshots"


def template(stage: str, out: Path) -> str:
    """The stage's template with what differs from commit to commit blanked."""
    settings = load(ROOT / "pipeline.toml", stage)
    build(settings, region="us-east-1", out=out).synth()
    document: dict[str, Any] = json.loads((out / f"{settings.project.name}.template.json").read_text())
    for resource in document["Resources"].values():
        resource.pop("Metadata", None)
        if resource["Type"] == "AWS::StepFunctions::StateMachine":  # its states have a diagram and tests of their own
            resource["Properties"]["DefinitionString"] = "..."
        variables = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        variables.update({name: "..." for name in ("COMMIT", "SETTINGS_HASH") if name in variables})
    text = re.sub(r"[0-9a-f]{64}", "0" * 64, json.dumps(document))
    text = re.sub(r"(ApiDeployment\w{8})[0-9a-f]{32}", r"\1", text)
    return json.dumps(json.loads(text, object_hook=in_order), indent=1, sort_keys=True) + "\n"


def in_order(part: dict[str, Any]) -> dict[str, Any]:
    """A statement's resources, which are a set and come in the order of the hashes just blanked, in their own order."""
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


def test_the_same_input_gives_the_same_template(tmp_path: Path) -> None:
    assert template("dev", tmp_path / "one") == template("dev", tmp_path / "two")
