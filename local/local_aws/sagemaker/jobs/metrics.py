"""Metrics that SageMaker reads from a training job's log."""

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LINEAR_LEARNER = tomllib.loads(Path(__file__).with_name("metrics.toml").read_text(encoding="utf-8"))


class MetricReader:
    """Keeps the last value of each metric of a log; definitions are names with regular expressions of one group.

    `watch` is called with the name and the value of each metric when it is read.
    """

    def __init__(self, definitions: dict[str, str]) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in definitions.items()}
        self._last: dict[str, tuple[float, datetime]] = {}
        self.watch: Callable[[str, float], None] = lambda name, value: None

    def read(self, line: str) -> None:
        """Take in one line; a match that is not a number is no metric."""
        for name, pattern in self._patterns.items():
            if found := pattern.search(line):
                try:
                    value = float(found[1])
                except ValueError:
                    continue
                self._last[name] = (value, datetime.now(UTC))
                self.watch(name, value)

    def final(self) -> list[dict[str, Any]]:
        """DescribeTrainingJob's FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": seen}
            for name, (value, seen) in sorted(self._last.items())
        ]
