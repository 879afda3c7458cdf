"""The stack can be synthesised wherever AWS has the built-in linear learner."""

import json
import time
from pathlib import Path

import pytest

from cdk.app import build
from pipeline.asl import image_uris
from pipeline.config import load

ROOT = Path(__file__).parent.parent.parent
REGISTRIES = image_uris.config_for_framework("linear-learner")["versions"]["1"]["registries"]
PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "us-iso": "aws-iso", "us-isob": "aws-iso-b"}


def partition(region: str) -> str:
    return PARTITIONS.get(region.rsplit("-", 2)[0], "aws")


@pytest.mark.full
def test_every_region_with_the_linear_learner_within_a_minute(tmp_path: Path) -> None:
    """In one process: Node is started once."""
    settings, started, wrong = load(ROOT / "pipeline.toml"), time.monotonic(), {}
    for region in sorted(REGISTRIES):
        build(settings, region=region, out=tmp_path / region).synth()
        text = (tmp_path / region / "breast-cancer.template.json").read_text()
        resources = json.loads(text)["Resources"].values()
        machine = next(item for item in resources if item["Type"] == "AWS::StepFunctions::StateMachine")
        definition = json.dumps(machine["Properties"]["DefinitionString"])
        image = machine["Properties"]["DefinitionSubstitutions"]["TrainingImage"]
        if f"arn:{partition(region)}:states:::" not in definition or not image.startswith(f"{REGISTRIES[region]}."):
            wrong[region] = image
    assert wrong == {}
    assert len(REGISTRIES) >= 30
    assert time.monotonic() - started < 60
