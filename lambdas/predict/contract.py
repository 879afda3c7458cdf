"""What this API is for: the columns, the labels and the limits, written beside the code when it is packaged."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Contract:
    """The part of pipeline.toml that the API depends on, from `api.json`.

    `classes` are the labels by class number, none for a regressor; `max_bytes` counts the caller's body; `largest` is
    the bound of a number's size. Pages of `cors_origin` may call; none may when it is empty.
    """

    path: str
    predictor_type: str
    features: list[str]
    classes: list[str]
    max_rows: int
    max_bytes: int
    largest: float
    cors_origin: str = ""


def load(folder: Path) -> Contract:
    """Return the contract that `api.json` in `folder` holds; OSError or TypeError when the package lacks it."""
    return Contract(**json.loads((folder / "api.json").read_bytes()))
