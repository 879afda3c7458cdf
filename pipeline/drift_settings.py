"""What pipeline.toml may say about drift: how often to look, at how much traffic, and what counts as moved."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings import SCHEDULE, Share, Table, like


class Drift(Table):
    """When live traffic is compared with the data that the live model was trained on, and by which bounds.

    A population stability index of 0.2 is the usual bound of a significant shift (Siddiqi, "Credit Risk Scorecards",
    2006); a distance by Kolmogorov and Smirnov counts from `ks` on. Both must also be more than chance gives at
    `significance`, over all comparisons of a window. Fewer rows than `minimum_rows` are never called drift.
    """

    schedule: Annotated[str, like(SCHEDULE, "rate(1 day)")] = "rate(1 day)"
    window_hours: Annotated[int, Field(ge=1, le=168)] = 24
    truth_days: Annotated[int, Field(ge=1, le=90)] = 7
    minimum_rows: Annotated[int, Field(ge=100)] = 200
    psi: Annotated[float, Field(gt=0)] = 0.2
    ks: Share = 0.1
    missing: Share = 0.05
    out_of_range: Share = 0.05
    significance: Share = 0.001
    retrain: Literal["never", "new data", "always"] = "new data"
