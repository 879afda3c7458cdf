"""What the data looked like: the statistics that later data is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from distributions import distribution
from job_settings import JobSettings
from split import Part


def baseline(parts: dict[str, Part], read: int, settings: JobSettings) -> dict[str, Any]:
    """Return counts of rows and labels, and each feature's statistics over the rows kept (all parts)."""
    features = np.concatenate([part.features for part in parts.values()])
    labels = np.concatenate([part.labels for part in parts.values()])
    rows = {name: len(part.labels) for name, part in parts.items()}
    document: dict[str, Any] = {
        "rows": {"read": read, "duplicates_dropped": read - len(labels), **rows},
        "features": {name: distribution(column) for name, column in zip(settings.features, features.T, strict=True)},
    }
    if settings.classes:
        document["labels"] = {name: int((labels == number).sum()) for number, name in enumerate(settings.classes)}
    else:
        document["target"] = distribution(labels)
    return document
