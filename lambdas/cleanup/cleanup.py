"""The endpoint configs and models that earlier executions made; a deployment's config and model share one name."""

import re
from typing import Any


def cleanup(sagemaker: Any, project: str, endpoint: str, keep: int) -> dict[str, list[str]]:
    """Delete all but the `keep` newest configs, then the models without one; never what the endpoint uses.

    An endpoint that is being updated uses two configs: deleting either breaks it (DeleteEndpointConfig).
    """
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    used = {described["EndpointConfigName"]}
    if pending := described.get("PendingDeploymentSummary"):
        used.add(pending["EndpointConfigName"])
    configs = _newest_first(sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", project)
    old = [name for name in configs[keep:] if name not in used]
    for name in old:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    models = _newest_first(sagemaker, "list_models", "Models", "ModelName", project)
    kept = set(configs) - set(old)
    unused = [name for name in models[keep:] if name not in kept]
    for name in unused:
        sagemaker.delete_model(ModelName=name)
    return {"configs": old, "models": unused}


def _newest_first(sagemaker: Any, operation: str, field: str, key: str, project: str) -> list[str]:
    pages = sagemaker.get_paginator(operation).paginate(
        NameContains=f"{project}-", SortBy="CreationTime", SortOrder="Descending"
    )
    # The names of project `shop` begin as those of `shop-eu` do: only its own are all of project and hash.
    own = re.compile(rf"{re.escape(project)}-[0-9a-f]{{32}}")
    return [item[key] for page in pages for item in page[field] if own.fullmatch(item[key])]
