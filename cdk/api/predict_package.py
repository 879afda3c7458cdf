"""The prediction Lambda's package: its code, and beside it the API's settings and its OpenAPI document."""

import json
import shutil
from pathlib import Path

from cdk.api import openapi
from pipeline.config import Settings


def write_package(settings: Settings, target: Path) -> Path:
    """Write the package into `target`, replacing its contents, and return it; equal settings give equal bytes.

    The settings are in the file `api.json`, because environment variables are limited to 4 KB.
    """
    api, data = settings.api, settings.data
    files = {
        "api.json": {
            "path": api.path,
            "predictor_type": data.predictor_type,
            "features": data.features,
            "classes": data.classes,
            "max_rows": api.max_rows,
            "max_bytes": api.max_bytes,
            "largest": openapi.LARGEST,
            "cors_origin": api.cors_origin,
        },
        "openapi.json": openapi.document(settings),
    }
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(openapi.SOURCE, target / "predict", ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in files.items():
        (target / "predict" / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target
