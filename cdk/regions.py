"""The resource types and the instance types of each region, from the data of cfn-lint."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aws_cdk

from pipeline.config import Settings

SCHEMAS = Path(getattr(find_spec("cfnlint"), "origin", "")).parent / "data" / "schemas"
BUDGET = "AWS::Budgets::Budget"
KINDS = {"processing": "processing", "transform": "transform", "endpoint": "hosting", "score": "transform"}
"""The tables of the settings with instance types, and cfn-lint's names of these kinds."""


def has_type(region: str, resource_type: str) -> bool:
    """Whether CloudFormation has the resource type in the region; a region without data has all."""
    types = _read(f"providers/{region}.json")
    return not types or resource_type in types


def check_region(stack: aws_cdk.Stack, settings: Settings, region: str) -> None:
    """Raise ValueError for resources of the stack and instances of the settings that the region does not have."""
    types = {each.cfn_resource_type for each in stack.node.find_all() if isinstance(each, aws_cdk.CfnResource)}
    missing = [f"the resource type {kind}" for kind in sorted(types) if not has_type(region, kind)]
    for table, kind in KINDS.items():
        wanted = getattr(settings, table).instance_type
        named_before = table == "score" and wanted == settings.transform.instance_type
        if not wanted or named_before or (table == "score" and not settings.score.enabled):
            continue  # a serverless endpoint has no instances
        offered = _read(f"extensions/aws_sagemaker_{kind}/instancetype_enum.json").get(region, {"enum": [wanted]})
        if wanted not in offered["enum"]:
            missing.append(f"[{table}] instance_type {wanted} (but ml.m5.xlarge, for example)")
    if missing:
        raise ValueError(f"{region} does not have {', '.join(missing)}: choose another region or another instance type")


@cache
def _read(path: str) -> dict[str, Any]:
    file = SCHEMAS / path
    return dict(json.loads(file.read_bytes())) if file.exists() else {}
