"""The settings of the API: columns, labels and limits, in a file beside the code of the package."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ApiSettings:
    """The part of pipeline.toml that the API needs, from `api.json`.

    `classes` are the labels by class number; a regressor has none. `max_bytes` limits the body of a call. `largest` is
    the largest absolute value of a number. Pages of the origin `cors_origin` may call; when empty, no other origin may.
    """

    path: str
    predictor_type: str
    features: list[str]
    classes: list[str]
    max_rows: int
    max_bytes: int
    largest: float
    cors_origin: str = ""


def load(folder: Path) -> ApiSettings:
    """Return the settings in `api.json` of `folder`; raises OSError or TypeError when the file is missing or wrong."""
    return ApiSettings(**json.loads((folder / "api.json").read_bytes()))
