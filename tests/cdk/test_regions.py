"""The stack can be synthesised in every region that has the built-in linear learner."""

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
from tests.conftest import ROOT

REGISTRIES = image_uris.config_for_framework("linear-learner")["versions"]["1"]["registries"]


def worked() -> float:
    """Return the CPU seconds of this process and Node, which other load does not change."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@pytest.mark.full
def test_every_region_with_the_linear_learner_within_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process: Node starts once, and the definition is rendered once per partition."""
    settings, before, wrong = load(ROOT / "pipeline.toml"), worked(), {}
    rendered = cache(lambda partition, render=workflow.definition: render(settings, partition))
    monkeypatch.setattr("cdk.app.add_checks", lambda *_: None)  # cdk-nag finds the same in every region
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
