"""The prediction Lambda's package: its code, and beside it what pipeline.toml says about the API."""

import json
import shutil
from pathlib import Path
from typing import Any

from cdk import openapi
from pipeline.config import Settings

SOURCE = Path(__file__).parent.parent / "lambdas" / "predict"


def contract(settings: Settings) -> dict[str, Any]:
    """Return what `lambdas/predict/contract.py` reads; in a file, as 4 KB of environment do not hold every header."""
    return {
        "path": settings.api.path,
        "predictor_type": settings.data.predictor_type,
        "features": list(settings.data.features),
        "classes": list(settings.data.classes),
        "max_rows": settings.api.max_rows,
        "max_bytes": settings.api.max_bytes,
        "largest": openapi.LARGEST,
        "cors_origin": settings.api.cors_origin,
    }


def write_bundle(settings: Settings, target: Path) -> Path:
    """Write the folder `target`, which holds `predict/`, anew and return it; the same settings give the same bytes."""
    shutil.rmtree(target, ignore_errors=True)
    package = target / "predict"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in (("api.json", contract(settings)), ("openapi.json", openapi.document(settings))):
        (package / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target
