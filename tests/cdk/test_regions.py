"""The stack can be synthesised in every region that has the built-in linear learner."""

import json
from functools import cache
from pathlib import Path

import botocore.session
import psutil
import pytest

from cdk.app import build
from pipeline import deploy, drift, retrain
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
    monkeypatch.setattr("cdk.app.add_checks", lambda *_: None)  # cdk-nag finds the same in every region
    for module in (retrain, deploy, drift):
        rendered = cache(lambda partition, render=module.definition: render(settings, partition))
        monkeypatch.setattr(module, "definition", lambda _, partition="aws", made=rendered: made(partition))
    partition_of = botocore.session.get_session().get_partition_for_region
    for region in sorted(REGISTRIES):
        build(settings, region=region, out=tmp_path / region).synth()
        text = (tmp_path / region / "breast-cancer.template.json").read_text()
        resources = json.loads(text)["Resources"].values()
        machines = [item["Properties"] for item in resources if item["Type"] == "AWS::StepFunctions::StateMachine"]
        machine = next(item for item in machines if "TrainingImage" in item["DefinitionSubstitutions"])
        definition, image = json.dumps(machine["DefinitionString"]), machine["DefinitionSubstitutions"]["TrainingImage"]
        own = f"arn:{partition_of(region)}:states:::" in definition
        if not own or not image.startswith(f"{REGISTRIES[region]}.dkr.ecr.{region}."):
            wrong[region] = image
    assert wrong == {}
    assert {partition_of(region) for region in REGISTRIES} >= {"aws", "aws-cn", "aws-us-gov"}
    seconds = worked() - before
    print(f"{len(REGISTRIES)} regions in {seconds:.0f} s of one core")
    assert seconds < 60
