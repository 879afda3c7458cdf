"""What [endpoint] may say: the machines that serve, their autoscaling, and the golden rows."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.settings import Count, InstanceType, Table


class Golden(Table):
    """A row whose prediction is known; the smoke test posts it. Regression: a value within a tolerance."""

    row: Annotated[tuple[float, ...], Field(strict=False)]
    label: str | None = None
    value: float | None = None
    tolerance: Annotated[float, Field(gt=0)] | None = None


class Endpoint(Table):
    """The machines that serve, how long an update may take, and the golden rows.

    With `max_instances` above `instance_count`, which is then the fewest, Application Auto Scaling keeps each instance
    at `calls_per_minute`; it takes no burstable ones (SageMaker Developer Guide, "Configure model auto scaling").
    """

    instance_type: InstanceType
    instance_count: Count = 1
    max_instances: Annotated[int, Field(ge=0, le=100)] = 0
    calls_per_minute: Annotated[int, Field(ge=0)] = 0
    deadline_minutes: Annotated[int, Field(ge=1, le=480)] = 30
    capture_percent: Annotated[int, Field(ge=0, le=100)] = 100
    golden: Annotated[tuple[Golden, ...], Field(strict=False, min_length=1)]

    @property
    def autoscaled(self) -> bool:
        """Whether the variant is autoscaled."""
        return self.max_instances > self.instance_count

    @model_validator(mode="after")
    def _can_be_scaled(self) -> Self:
        if 0 < self.max_instances < self.instance_count:
            raise ValueError(
                f"max_instances = {self.max_instances} is below instance_count = {self.instance_count}: give at least"
                " as many, or 0 for no autoscaling"
            )
        if self.autoscaled and re.match(r"ml\.t\d", self.instance_type):
            raise ValueError(
                f"max_instances: {self.instance_type} is burstable, which SageMaker does not autoscale: set"
                " instance_type to another, such as ml.m5.large, or max_instances to 0"
            )
        if self.autoscaled and not self.calls_per_minute:
            raise ValueError("calls_per_minute is what autoscaling keeps an instance at: give at least 1")
        return self
