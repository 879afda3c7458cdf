"""The stack can be synthesised wherever AWS has the built-in linear learner."""

import json
from functools import cache
from pathlib import Path

import botocore.session
import psutil
import pytest

from cdk.app import build
from pipeline import workflow
from pipeline.asl import image_uris
from pipeline.config import load

ROOT = Path(__file__).parent.parent.parent
REGISTRIES = image_uris.config_for_framework("linear-learner")["versions"]["1"]["registries"]


def worked() -> float:
    """Seconds of a core that this process and Node have used, whatever else the machine does."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@pytest.mark.full
def test_every_region_with_the_linear_learner_within_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process: Node is started once, and the definition, which knows of partitions alone, is rendered for each."""
    settings, before, wrong = load(ROOT / "pipeline.toml"), worked(), {}
    rendered = cache(lambda partition, render=workflow.definition: render(settings, partition))
    monkeypatch.setattr("cdk.app.add_checks", lambda *_: None)  # what cdk-nag finds is the same everywhere
    monkeypatch.setattr(workflow, "definition", lambda _, partition="aws": rendered(partition))
    partition_of = botocore.session.get_session().get_partition_for_region
    for region in sorted(REGISTRIES):
        build(settings, region=region, out=tmp_path / region).synth()
        text = (tmp_path / region / "breast-cancer.template.json").read_text()
        resources = json.loads(text)["Resources"].values()
        machine = next(item for item in resources if item["Type"] == "AWS::StepFunctions::StateMachine")
        definition = json.dumps(machine["Properties"]["DefinitionString"])
        image = machine["Properties"]["DefinitionSubstitutions"]["TrainingImage"]
        own = f"arn:{partition_of(region)}:states:::" in definition
        if not own or not image.startswith(f"{REGISTRIES[region]}.dkr.ecr.{region}."):
            wrong[region] = image
    assert wrong == {}
    assert {partition_of(region) for region in REGISTRIES} >= {"aws", "aws-cn", "aws-us-gov"}
    seconds = worked() - before
    print(f"{len(REGISTRIES)} regions in {seconds:.0f} s of one core")
    assert seconds < 60
