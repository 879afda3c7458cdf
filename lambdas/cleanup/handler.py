"""The endpoint configs and models that earlier executions made; a deployment's config and model share one name."""

import os
import re
from typing import Any

import boto3

_SAGEMAKER: Any = boto3.client("sagemaker")


def handle(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """Delete all but the `keep` newest configs, then the models without one; return the names of both.

    An endpoint that is being updated uses two configs: deleting either breaks it (DeleteEndpointConfig).
    """
    keep = int(event["keep"])
    described = _SAGEMAKER.describe_endpoint(EndpointName=os.environ["ENDPOINT_NAME"])
    used = {described["EndpointConfigName"]}
    if pending := described.get("PendingDeploymentSummary"):
        used.add(pending["EndpointConfigName"])
    configs = _newest_first("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName")
    old = [name for name in configs[keep:] if name not in used]
    for name in old:
        _SAGEMAKER.delete_endpoint_config(EndpointConfigName=name)
    models = _newest_first("list_models", "Models", "ModelName")
    kept = set(configs) - set(old)
    unused = [name for name in models[keep:] if name not in kept]
    for name in unused:
        _SAGEMAKER.delete_model(ModelName=name)
    return {"configs": old, "models": unused}


def _newest_first(operation: str, field: str, key: str) -> list[str]:
    pages = _SAGEMAKER.get_paginator(operation).paginate(
        NameContains=f"{os.environ['ENDPOINT_NAME']}-", SortBy="CreationTime", SortOrder="Descending"
    )
    own = re.compile(os.environ["OWN_NAMES"])
    return [item[key] for page in pages for item in page[field] if own.fullmatch(item[key])]
