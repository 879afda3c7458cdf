"""The stack can be synthesised in every region that has the built-in linear learner and the stack's resource types."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from cdk.app import build
from cdk.regions import KINDS
from pipeline import deploy, drift, retrain
from pipeline.asl import image_uris
from pipeline.config import load
from tests.cdk.conftest import Template
from tests.conftest import ROOT

REGISTRIES = image_uris.config_for_framework("linear-learner")["versions"]["1"]["registries"]
NO_REGISTRY = {"ap-south-2", "ap-southeast-4", "us-gov-east-1", "cn-north-1", "cn-northwest-1"}
"""Regions whose CloudFormation has no model package groups."""
SHIPPED = load(ROOT / "pipeline.toml")
SIZE = {"instance_type": "ml.m5.xlarge"}  # every region has it
EVERYWHERE = SHIPPED.model_copy(update={name: getattr(SHIPPED, name).model_copy(update=SIZE) for name in KINDS})


def test_a_region_without_a_resource_or_instance_type_is_refused_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not have") as refused:
        build(SHIPPED, region="ap-south-2", out=tmp_path)
    assert str(refused.value) == (
        "ap-south-2 does not have the resource type AWS::SageMaker::ModelPackageGroup, "
        "[transform] instance_type ml.m5.large (but ml.m5.xlarge, for example), "
        "[endpoint] instance_type ml.t2.medium (but ml.m5.xlarge, for example): "
        "choose another region or another instance type"
    )


def test_a_region_without_budgets_has_none_and_all_else(template: Template, tmp_path: Path) -> None:
    build(EVERYWHERE, region="eu-north-1", out=tmp_path).synth()
    other = json.loads((tmp_path / "breast-cancer.template.json").read_text())
    kinds, fewer = (Counter(item["Type"] for item in each["Resources"].values()) for each in (template, other))
    assert kinds - fewer == {"AWS::Budgets::Budget": 1}


@pytest.mark.full
def test_every_region_with_the_linear_learner_has_its_image_and_its_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process: Node starts once, and the definition is rendered once per partition."""
    wrong, refused = {}, set()
    monkeypatch.setattr("cdk.app.add_checks", lambda *_: None)  # cdk-nag finds the same in every region
    for module in (retrain, deploy, drift):
        rendered = cache(lambda partition, render=module.definition: render(EVERYWHERE, partition))
        monkeypatch.setattr(module, "definition", lambda _, partition="aws", made=rendered: made(partition))
    partition_of = botocore.session.get_session().get_partition_for_region
    for region in sorted(REGISTRIES):
        try:
            build(EVERYWHERE, region=region, out=tmp_path / region).synth()
        except ValueError as error:
            assert str(error).startswith(f"{region} does not have the resource type AWS::SageMaker::ModelPackageGroup:")
            refused.add(region)
            continue
        text = (tmp_path / region / "breast-cancer.template.json").read_text()
        resources = json.loads(text)["Resources"].values()
        machines = [item["Properties"] for item in resources if item["Type"] == "AWS::StepFunctions::StateMachine"]
        machine = next(item for item in machines if "TrainingImage" in item["DefinitionSubstitutions"])
        definition, image = json.dumps(machine["DefinitionString"]), machine["DefinitionSubstitutions"]["TrainingImage"]
        own = f"arn:{partition_of(region)}:states:::" in definition
        if not own or not image.startswith(f"{REGISTRIES[region]}.dkr.ecr.{region}."):
            wrong[region] = image
    assert (wrong, refused) == ({}, NO_REGISTRY)
    assert {partition_of(region) for region in set(REGISTRIES) - refused} >= {"aws", "aws-us-gov"}
