"""Metrics that SageMaker reads from a training job's log."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LINEAR_LEARNER = tomllib.loads(Path(__file__).with_name("metrics.toml").read_text(encoding="utf-8"))


class MetricReader:
    """Keeps the last value of each metric of a log; definitions are names with regular expressions of one group."""

    def __init__(self, definitions: dict[str, str]) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in definitions.items()}
        self._last: dict[str, tuple[float, datetime]] = {}

    def read(self, line: str) -> None:
        """Take in one line; a match that is not a number is no metric."""
        for name, pattern in self._patterns.items():
            if found := pattern.search(line):
                try:
                    self._last[name] = (float(found[1]), datetime.now(UTC))
                except ValueError:
                    continue

    def final(self) -> list[dict[str, Any]]:
        """DescribeTrainingJob's FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": seen}
            for name, (value, seen) in sorted(self._last.items())
        ]
