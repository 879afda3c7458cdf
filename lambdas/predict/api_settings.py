"""The settings of the API: columns, labels and limits, in the package's file `api.json`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ApiSettings:
    """The part of pipeline.toml that the API needs.

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
